//! Who may hold a connection, and for how long: the connections that are open, and which of them
//! have to go.
//!
//! A stranger is a connection on which no right token has come yet. When there are too many, the
//! one that came first goes, so that whoever comes next finds a place and has the time of all that
//! come after to send its request.
//!
//! Never here: sockets and clocks. The caller says what happened and when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most connections on which no right token has come.
pub(super) const STRANGERS: usize = 128;
/// The most others. A browser keeps six.
pub(super) const KNOWN: usize = 384;
/// The most bytes of answers that are being written. A larger one is written alone.
pub(super) const HELD: usize = 256 << 20;
/// How long a stranger may stay, and how long what nobody wants to read is read before the end.
const STRANGE: Duration = Duration::from_secs(10);
/// How long a connection may stay without a whole request.
const IDLE: Duration = Duration::from_secs(75);
/// How long the other side may take nothing of an answer.
const STILL: Duration = Duration::from_secs(30);
/// How long it may take for all of it.
const ANSWER: Duration = Duration::from_secs(300);

/// What a connection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a request, or for the rest of its head.
    Head,
    /// Reads a body that was admitted. It has deadlines of its own, since they are answered.
    Body,
    /// The function that answers is at work.
    Work,
    /// Writes an answer.
    Answer,
    /// Has said its last, and reads what is still being sent.
    End,
}

/// One connection. `T` is what ends it.
struct Peer<T> {
    task: T,
    known: bool,
    came: Instant,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// When the other side last took bytes of the answer.
    moved: Instant,
    /// Bytes of the answer that is being written.
    held: usize,
}

/// The connections that are open, by number: a smaller one came earlier.
pub(super) struct Room<T>(BTreeMap<u64, Peer<T>>);

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Room<T> {
    /// A connection came. Who has to go for it, if anybody.
    pub fn enter(&mut self, number: u64, task: T, now: Instant) -> Option<T> {
        let gone = if self.count(false) < STRANGERS { None } else { self.make_room() };
        let peer =
            Peer { task, known: false, came: now, phase: Phase::Head, since: now, moved: now, held: 0 };
        self.0.insert(number, peer);
        gone
    }

    /// The stranger that came first has to go.
    pub fn make_room(&mut self) -> Option<T> {
        let (&number, _) = self.0.iter().find(|(_, peer)| !peer.known)?;
        self.leave(number)
    }

    /// A connection has ended.
    pub fn leave(&mut self, number: u64) -> Option<T> {
        self.0.remove(&number).map(|peer| peer.task)
    }

    /// A right token came; false where too many are known already.
    pub fn recognise(&mut self, number: u64) -> bool {
        let room = self.count(true) < KNOWN;
        self.0.get_mut(&number).is_none_or(|peer| {
            peer.known |= room;
            peer.known
        })
    }

    pub fn begin(&mut self, number: u64, phase: Phase, now: Instant) {
        if let Some(peer) = self.0.get_mut(&number) {
            (peer.phase, peer.since, peer.moved, peer.held) = (phase, now, now, 0);
        }
    }

    /// An answer of so many bytes is ready to be written. Those that hold memory and have moved
    /// least recently have to go where all together hold too much.
    pub fn answer(&mut self, number: u64, bytes: usize, now: Instant) -> Vec<T> {
        self.begin(number, Phase::Answer, now);
        if let Some(peer) = self.0.get_mut(&number) {
            peer.held = bytes;
        }
        let mut gone = Vec::new();
        while self.0.values().map(|peer| peer.held).sum::<usize>() > HELD {
            let others = self.0.iter().filter(|(other, peer)| **other != number && peer.held > 0);
            let Some((&slowest, _)) = others.min_by_key(|(_, peer)| peer.moved) else { break };
            gone.extend(self.leave(slowest));
        }
        gone
    }

    /// The other side took something of the answer.
    pub fn took(&mut self, number: u64, now: Instant) {
        if let Some(peer) = self.0.get_mut(&number) {
            peer.moved = now;
        }
    }

    pub fn is(&self, number: u64, phase: Phase) -> bool {
        self.0.get(&number).is_some_and(|peer| peer.phase == phase)
    }

    /// Those that have stayed too long.
    pub fn overdue(&mut self, now: Instant) -> Vec<T> {
        let past = |begun: Instant, limit| now.saturating_duration_since(begun) >= limit;
        self.remove(|peer| match peer.phase {
            _ if !peer.known => past(peer.came, STRANGE),
            Phase::Head => past(peer.since, IDLE),
            Phase::Body | Phase::Work => false,
            Phase::Answer => past(peer.moved, STILL) || past(peer.since, ANSWER),
            Phase::End => past(peer.since, STRANGE),
        })
    }

    /// Those that have no answer to finish.
    pub fn resting(&mut self) -> Vec<T> {
        self.remove(|peer| !matches!(peer.phase, Phase::Work | Phase::Answer))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn remove(&mut self, mut which: impl FnMut(&Peer<T>) -> bool) -> Vec<T> {
        self.0.extract_if(.., |_, peer| which(peer)).map(|(_, peer)| peer.task).collect()
    }

    fn count(&self, known: bool) -> usize {
        self.0.values().filter(|peer| peer.known == known).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn room(numbers: std::ops::Range<u64>, now: Instant) -> Room<u64> {
        let mut room = Room::default();
        numbers.for_each(|n| assert_eq!(room.enter(n, n, now), None));
        room
    }

    #[test]
    fn the_oldest_stranger_goes_for_the_next_and_nobody_known_does() {
        let now = Instant::now();
        let mut room = room(0..STRANGERS as u64, now);
        assert!(room.recognise(0) && room.recognise(2));
        let after = STRANGERS as u64;
        assert_eq!(
            [0, 1, 2, 3].map(|n| room.enter(after + n, after + n, now)),
            [None, None, Some(1), Some(3)]
        );
        for n in 0..10 * after {
            assert!(room.enter(2 * after + n, 0, now).is_some());
        }
        assert_eq!((room.count(false), room.count(true)), (STRANGERS, 2));
        // Without a place in the system one goes early.
        assert!(room.make_room().is_some() && room.count(false) == STRANGERS - 1);
        let mut room = self::room(0..1, now);
        assert!(room.recognise(0));
        assert_eq!(room.make_room(), None);
    }

    #[test]
    fn those_who_know_the_token_have_room_of_their_own_and_no_more() {
        let (now, mut room) = (Instant::now(), Room::default());
        for n in 0..KNOWN as u64 {
            assert!(room.enter(n, n, now).is_none() && room.recognise(n));
        }
        room.enter(1000, 1000, now);
        assert!(!room.recognise(1000) && room.recognise(7));
        room.leave(7);
        assert!(room.recognise(1000));
    }

    #[test]
    fn each_phase_has_its_time_and_work_has_none() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut room = room(0..7, now);
        assert!(room.overdue(at(9)).is_empty());
        (1..7).for_each(|n| assert!(room.recognise(n)));
        for (number, phase) in [(2, Phase::Body), (3, Phase::Work), (6, Phase::End)] {
            room.begin(number, phase, now);
        }
        assert!(room.answer(4, 1, now).is_empty() && room.answer(5, 1, now).is_empty());
        assert_eq!(room.overdue(at(10)), [0, 6]);
        room.took(5, at(29));
        assert_eq!(room.overdue(at(30)), [4]);
        assert_eq!(room.overdue(at(75)), [1, 5]);
        room.answer(3, 1, at(100));
        (100..400).step_by(20).for_each(|second| room.took(3, at(second)));
        assert!(room.overdue(at(399)).is_empty());
        assert_eq!(room.overdue(at(400)), [3]);
        assert_eq!(room.resting(), [2]);
        assert!(room.is_empty());
    }

    #[test]
    fn a_stranger_gets_no_more_time_by_asking() {
        let now = Instant::now();
        let mut room = room(0..1, now);
        let at = |seconds| now + Duration::from_secs(seconds);
        room.answer(0, 1, at(9));
        room.begin(0, Phase::Head, at(9));
        room.took(0, at(9));
        assert_eq!(room.overdue(at(10)), [0]);
    }

    #[test]
    fn readers_that_stand_still_go_before_answers_fill_the_memory() {
        let now = Instant::now();
        let mut room = room(0..6, now);
        for n in 0..4 {
            assert!(room.answer(n, 60 * MIB, now + Duration::from_secs(n)).is_empty());
        }
        room.took(0, now + Duration::from_secs(9));
        assert_eq!(room.answer(4, 60 * MIB, now), [1]);
        // What has been taken is held no more.
        room.begin(2, Phase::Head, now);
        assert!(room.answer(2, 60 * MIB, now).is_empty());
        // One that is larger than all there is room for is written alone.
        let mut gone = room.answer(5, 2 * HELD, now);
        gone.sort_unstable();
        assert_eq!(gone, [0, 2, 3, 4]);
    }
}
