-- From version 1 to 2: what people tell each other, beside their answers.

CREATE TABLE guides (
    class INTEGER PRIMARY KEY REFERENCES classes,
    description TEXT NOT NULL
) STRICT;

-- Images that show what a class is, in the order in which they were pinned.
CREATE TABLE examples (
    class INTEGER NOT NULL REFERENCES classes,
    image INTEGER NOT NULL REFERENCES images,
    at INTEGER NOT NULL,
    PRIMARY KEY (class, image)
) STRICT, WITHOUT ROWID;

-- The newest note of an image, and whether it is flagged.
CREATE TABLE notes (
    image INTEGER PRIMARY KEY REFERENCES images,
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    note TEXT NOT NULL,
    flag INTEGER NOT NULL
) STRICT;
CREATE INDEX notes_flag ON notes (image) WHERE flag = 1;
