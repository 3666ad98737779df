//! One round, and the loop of rounds.
