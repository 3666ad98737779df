-- Of the run store too, and added to those that were made without it: what is read of them does not change.
CREATE TABLE IF NOT EXISTS asked (
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    wrong_share REAL NOT NULL,
    error_auc REAL,
    PRIMARY KEY (run, round),
    FOREIGN KEY (run, round) REFERENCES rounds
) STRICT;
