-- The store of a labelling project, version 1; what leads on from it is in the files of later versions. Times are milliseconds since 1970 unless said. Ids of images count from 1,
-- of classes from 0, both for life. Described in docs/formats.md.

CREATE TABLE project (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE images (
    image INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                      -- below the folder of images, with '/'
    hash BLOB NOT NULL,                      -- sha256 of the file
    bytes INTEGER NOT NULL,
    changed INTEGER NOT NULL,                -- of the file, nanoseconds since 1970
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    look INTEGER NOT NULL,                   -- 64 bits: difference hash
    missing INTEGER NOT NULL DEFAULT 0,
    holdout INTEGER NOT NULL,
    added INTEGER NOT NULL,
    draw INTEGER NOT NULL,                   -- the seeded random order
    ask INTEGER NOT NULL DEFAULT 1           -- open, and no image with this content is labelled; kept with `states`
) STRICT;
-- A missing image keeps the last path it had, which another may have by now.
CREATE UNIQUE INDEX images_path ON images (path) WHERE missing = 0;
CREATE INDEX images_hash ON images (hash);
CREATE INDEX images_ask ON images (holdout, draw) WHERE ask = 1 AND missing = 0;
CREATE INDEX images_missing ON images (path) WHERE missing = 1;

CREATE TABLE classes (
    class INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    key TEXT,                                -- KeyboardEvent.code
    colour TEXT NOT NULL,                    -- #rrggbb
    place INTEGER NOT NULL,
    merged_into INTEGER REFERENCES classes   -- never a class that is itself merged; itself where it was deleted
) STRICT;
CREATE UNIQUE INDEX classes_name ON classes (name) WHERE merged_into IS NULL;
CREATE UNIQUE INDEX classes_key ON classes (key) WHERE key IS NOT NULL;

CREATE TABLE answers (
    answer INTEGER PRIMARY KEY,
    image INTEGER NOT NULL REFERENCES images,
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    act TEXT NOT NULL CHECK (act IN ('label', 'later', 'discard', 'unsure', 'undo')),
    class INTEGER REFERENCES classes,
    undoes INTEGER REFERENCES answers,
    seconds REAL,
    suggested INTEGER REFERENCES classes,
    source TEXT NOT NULL CHECK (source IN ('page', 'import', 'duplicate', 'review')),
    token TEXT UNIQUE,
    CHECK ((act = 'label') = (class IS NOT NULL)),
    CHECK ((act = 'undo') = (undoes IS NOT NULL))
) STRICT;
CREATE INDEX answers_image ON answers (image, person, answer);
CREATE INDEX answers_person ON answers (person, answer);
CREATE INDEX answers_class ON answers (class, image) WHERE class IS NOT NULL;
CREATE UNIQUE INDEX answers_undoes ON answers (undoes) WHERE undoes IS NOT NULL;
CREATE TRIGGER answers_keep BEFORE UPDATE ON answers BEGIN SELECT raise(ABORT, 'an answer is never changed'); END;
CREATE TRIGGER answers_stay BEFORE DELETE ON answers BEGIN SELECT raise(ABORT, 'an answer is never deleted'); END;

-- Answers that were not undone.
CREATE VIEW live AS
SELECT * FROM answers AS a WHERE act <> 'undo' AND NOT EXISTS (SELECT 1 FROM answers AS u WHERE u.undoes = a.answer);

-- What each person says of an image, as far as it counts: their latest live answer, from the latest live review on.
CREATE VIEW standing AS
SELECT a.answer, a.image, a.person, a.at, a.act, coalesce(c.merged_into, a.class) AS class, a.source
FROM live AS a LEFT JOIN classes AS c ON c.class = a.class
WHERE NOT EXISTS (SELECT 1 FROM live AS b WHERE b.image = a.image AND b.person = a.person AND b.answer > a.answer)
    AND NOT EXISTS (SELECT 1 FROM live AS r WHERE r.image = a.image AND r.source = 'review' AND r.answer > a.answer);

CREATE VIEW current AS
SELECT
    image,
    CASE
        WHEN verdicts > 1 THEN 'conflict'
        WHEN verdicts = 0 AND unsure > later THEN 'unsure'
        WHEN verdicts = 0 THEN 'later'
        WHEN label IS NULL THEN 'discarded'
        ELSE 'labelled'
    END AS state,
    CASE WHEN verdicts = 1 THEN label END AS class,
    at,
    answers
FROM (
    SELECT
        image,
        count(DISTINCT CASE act WHEN 'label' THEN class WHEN 'discard' THEN -1 END) AS verdicts,
        max(CASE act WHEN 'label' THEN class END) AS label,
        max(CASE act WHEN 'unsure' THEN answer ELSE 0 END) AS unsure,
        max(CASE act WHEN 'later' THEN answer ELSE 0 END) AS later,
        max(at) AS at,
        sum(act IN ('label', 'discard')) AS answers
    FROM standing
    GROUP BY image
);

-- The view above, kept. An image without a row is open.
CREATE TABLE states (
    image INTEGER PRIMARY KEY REFERENCES images,
    state TEXT NOT NULL,
    class INTEGER REFERENCES classes,
    at INTEGER NOT NULL,
    answers INTEGER NOT NULL                 -- persons who say what it is
) STRICT;
CREATE INDEX states_state ON states (state, class, image);
CREATE INDEX states_at ON states (at, image);

-- How many images are in each state, kept by the triggers below, so that a key press counts nothing. Class -1 is none.
CREATE TABLE tally (
    holdout INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    state TEXT NOT NULL,
    class INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (holdout, missing, state, class)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tally_image AFTER INSERT ON images BEGIN
    INSERT INTO tally VALUES (new.holdout, new.missing, 'open', -1, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_moved AFTER UPDATE OF missing, holdout ON images
WHEN (old.missing, old.holdout) IS NOT (new.missing, new.holdout) BEGIN
    INSERT INTO tally VALUES (
        old.holdout, old.missing,
        coalesce((SELECT state FROM states WHERE image = new.image), 'open'),
        coalesce((SELECT class FROM states WHERE image = new.image), -1), -1
    ) ON CONFLICT DO UPDATE SET n = n - 1;
    INSERT INTO tally VALUES (
        new.holdout, new.missing,
        coalesce((SELECT state FROM states WHERE image = new.image), 'open'),
        coalesce((SELECT class FROM states WHERE image = new.image), -1), 1
    ) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_state AFTER INSERT ON states BEGIN
    INSERT INTO tally SELECT holdout, missing, 'open', -1, -1 FROM images WHERE image = new.image
        ON CONFLICT DO UPDATE SET n = n - 1;
    INSERT INTO tally SELECT holdout, missing, new.state, coalesce(new.class, -1), 1 FROM images WHERE image = new.image
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_opened AFTER DELETE ON states BEGIN
    INSERT INTO tally SELECT holdout, missing, old.state, coalesce(old.class, -1), -1 FROM images WHERE image = old.image
        ON CONFLICT DO UPDATE SET n = n - 1;
    INSERT INTO tally SELECT holdout, missing, 'open', -1, 1 FROM images WHERE image = old.image
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TABLE rounds (
    round INTEGER PRIMARY KEY,               -- 0 is the choice before there are labels
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    strategy TEXT NOT NULL,
    labels INTEGER NOT NULL,                 -- trained on
    seed INTEGER NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER,
    summary TEXT                             -- JSON
) STRICT;

-- The last prediction made without the label of the image.
CREATE TABLE predictions (
    image INTEGER PRIMARY KEY REFERENCES images,
    round INTEGER NOT NULL REFERENCES rounds,
    class INTEGER NOT NULL REFERENCES classes,
    confidence REAL NOT NULL,
    probabilities BLOB NOT NULL              -- f32, little endian, in the order of `classes` of the round's summary
) STRICT;
CREATE INDEX predictions_confidence ON predictions (confidence, image);

CREATE TABLE queue (
    image INTEGER PRIMARY KEY REFERENCES images,
    rank INTEGER NOT NULL UNIQUE,            -- from 1
    score REAL NOT NULL,
    terms TEXT NOT NULL                      -- JSON: name → number
) STRICT;

CREATE TABLE leases (
    image INTEGER PRIMARY KEY REFERENCES images,
    person TEXT NOT NULL,
    until INTEGER NOT NULL,
    turn INTEGER NOT NULL                    -- the order in which they were handed out
) STRICT;

PRAGMA application_id = 1986093680;
PRAGMA user_version = 1;
