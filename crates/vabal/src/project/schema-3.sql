-- From version 2 to 3: what another model says, beside the project's own predictions. `round` is 0; `probabilities` are as in
-- `predictions`, in the order of the classes that the value `suggestions` of `project` lists, NaN where the file says none.

CREATE TABLE suggestions (
    image INTEGER PRIMARY KEY REFERENCES images,
    round INTEGER NOT NULL,
    class INTEGER NOT NULL REFERENCES classes,
    confidence REAL NOT NULL,
    probabilities BLOB NOT NULL
) STRICT;
CREATE INDEX suggestions_confidence ON suggestions (confidence, image);
CREATE INDEX suggestions_class ON suggestions (class, confidence);
