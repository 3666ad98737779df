-- The run store, version 1. Ids are rows of the image set, classes count from 0, rounds from 1; round 0
-- holds the first pool, drawn at random. Described in docs/formats.md.

CREATE TABLE experiment (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    strategy TEXT NOT NULL,
    seed INTEGER NOT NULL,
    UNIQUE (strategy, seed)
) STRICT;

CREATE TABLE rounds (
    run INTEGER NOT NULL REFERENCES runs,
    round INTEGER NOT NULL,
    unlabelled INTEGER NOT NULL,
    PRIMARY KEY (run, round)
) STRICT;

CREATE TABLE metrics (
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    accuracy REAL NOT NULL,
    balanced_accuracy REAL NOT NULL,
    macro_f1 REAL NOT NULL,
    calibration_error REAL NOT NULL,
    rare_share REAL NOT NULL,
    PRIMARY KEY (run, round),
    FOREIGN KEY (run, round) REFERENCES rounds
) STRICT;

CREATE TABLE classes (
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    class INTEGER NOT NULL,
    labelled INTEGER NOT NULL,
    recall REAL,
    PRIMARY KEY (run, round, class),
    FOREIGN KEY (run, round) REFERENCES rounds
) STRICT;

CREATE TABLE picks (
    run INTEGER NOT NULL REFERENCES runs,
    round INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    id INTEGER NOT NULL,
    label INTEGER NOT NULL,
    score REAL NOT NULL,
    PRIMARY KEY (run, round, rank),
    UNIQUE (run, id)
) STRICT;

CREATE TABLE terms (
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run, round, rank, position),
    FOREIGN KEY (run, round, rank) REFERENCES picks
) STRICT;

CREATE TABLE phases (
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    seconds REAL NOT NULL,
    peak_bytes INTEGER,
    PRIMARY KEY (run, round, position),
    FOREIGN KEY (run, round) REFERENCES rounds
) STRICT;

CREATE TABLE health (
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (run, round),
    FOREIGN KEY (run, round) REFERENCES rounds
) STRICT;

CREATE TABLE events (
    event INTEGER PRIMARY KEY,
    unix_seconds INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;

PRAGMA application_id = 1986093665;
PRAGMA user_version = 1;
