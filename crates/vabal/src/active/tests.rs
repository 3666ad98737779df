//! The loop, the pool and the choice, without a network.

use super::*;
use crate::progress::silent;
use crate::query::Column;
use crate::query::Strategy;
use ndarray::Array2;
use proptest::prelude::{prop, prop_assert_eq, proptest};

/// Probabilities that depend on the id alone.
struct Fixed;

impl Classifier for Fixed {
    fn gives(&self, _: MonteCarlo) -> bool {
        false
    }

    fn signals(&self, ids: &[Id], _: Needs, _: Seed, _: &mut Progress<'_>) -> Result<Signals<'static>> {
        let p = |id: Id| ((id * 37) % 100) as f32 / 100.0;
        let rows =
            Array2::from_shape_fn(
                (ids.len(), 2),
                |(row, class)| {
                    if class == 0 { p(ids[row]) } else { 1.0 - p(ids[row]) }
                },
            );
        Signals::new(ids.to_vec()).with_probabilities(rows)
    }

    fn save(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

/// Has only [`Fixed`] to offer.
struct Teacher;

impl Learner for Teacher {
    fn train(
        &self,
        _: &[Id],
        _: &[Label],
        _: Role,
        _: Seed,
        _: &mut Progress<'_>,
    ) -> Result<Box<dyn Classifier + '_>> {
        Ok(Box::new(Fixed))
    }

    fn load(&self, _: &Path) -> Result<Box<dyn Classifier + '_>> {
        Ok(Box::new(Fixed))
    }
}

struct Answers(Vec<Id>);

impl Strategy for Answers {
    fn needs(&self) -> Needs {
        Needs::IDS
    }

    fn select(&self, _: &Query<'_>, _: &mut Progress<'_>) -> Result<Selection> {
        let scores = vec![0.0; self.0.len()];
        Ok(Selection { ids: self.0.clone(), scores, terms: Vec::<Column>::new(), ..Selection::default() })
    }
}

fn ask(strategy: &dyn Strategy, pool: &Partition, n: usize, seed: Seed) -> Result<Selection> {
    let lens = Lens { learner: &Teacher, classifier: &Fixed, seed };
    let (unlabelled, labelled) = look(lens, pool, strategy, &mut silent())?;
    choose(strategy, pool, (&unlabelled, &labelled), 2, n, seed, &mut silent())
}

proptest! {
    #[test]
    fn rounds_never_lose_repeat_or_invent_an_image(
        ids in prop::collection::hash_set(0_u64..10_000, 2..200),
        initial in 0_usize..50,
        budget in 1_usize..60,
        seed in 0_u64..100,
        strategy in 0_usize..4,
    ) {
        let strategy = crate::STRATEGIES.by_name(crate::STRATEGIES.names()[strategy]).unwrap();
        let ids: Vec<Id> = ids.into_iter().collect();
        let mut everything = ids.clone();
        everything.sort_unstable();
        let mut pool = Partition::new(&ids).unwrap();
        let seed = Seed::new(seed);
        let first = pool.draw(initial.min(ids.len()), seed).unwrap();
        pool.learn(&first, &vec![0; first.len()]).unwrap();
        for round in 0..5 {
            let asked = ask(&*strategy, &pool, budget, seed.child("query", round)).unwrap();
            prop_assert_eq!(asked.ids.len(), budget.min(pool.unlabelled().len()));
            pool.learn(&asked.ids, &vec![1; asked.ids.len()]).unwrap();
            prop_assert_eq!(pool.labelled().len(), pool.labels().len());
            let mut all = [pool.labelled(), pool.unlabelled()].concat();
            all.sort_unstable();
            prop_assert_eq!(&all, &everything);
        }
    }
}

#[test]
fn the_order_in_which_a_pool_is_listed_changes_no_first_pool() {
    let (up, down): (Vec<Id>, Vec<Id>) = ((0..50).collect(), (0..50).rev().collect());
    let draw = |ids: &[Id]| Partition::new(ids).unwrap().draw(10, Seed::new(3)).unwrap();
    assert_eq!(draw(&up), draw(&down));
}

#[test]
fn a_strategy_that_repeats_or_invents_or_falls_short_is_stopped() {
    let mut pool = Partition::new(&[1, 2, 3, 4]).unwrap();
    pool.learn(&[4], &[0]).unwrap();
    for (answer, part) in
        [(vec![1, 1], "twice"), (vec![1, 4], "id 4"), (vec![1, 9], "id 9"), (vec![1], "another number")]
    {
        let error = ask(&Answers(answer), &pool, 2, Seed::new(1)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(ask(&Answers(vec![3, 1]), &pool, 2, Seed::new(1)).unwrap().ids, [3, 1]);
}

#[test]
fn a_refused_answer_moves_nothing() {
    let mut pool = Partition::new(&[1, 2, 3]).unwrap();
    let before = pool.clone();
    assert!(pool.learn(&[1, 7], &[0, 0]).is_err());
    assert!(pool.learn(&[1, 1], &[0, 0]).is_err());
    assert!(pool.learn(&[1, 2], &[0]).is_err());
    assert_eq!(pool, before);
    assert!(Partition::new(&[5, 5]).is_err());
}

#[test]
fn a_first_pool_larger_than_the_pool_says_both_numbers() {
    let error = Partition::new(&[1, 2]).unwrap().draw(3, Seed::new(1)).unwrap_err().to_string();
    assert!(error.contains("at most 2") && error.contains("got: 3"), "{error}");
}

#[test]
fn the_oracle_answers_in_the_order_of_the_question() {
    let set = crate::data::demo::read().unwrap();
    let ids = [set.pool[700], set.pool[0]];
    let labels = HiddenLabels(&set.items).label(&ids).unwrap();
    assert_eq!(labels, [set.items.label(ids[0]), set.items.label(ids[1])]);
}

/// What a [`Learner`] was asked to train: dropout and seed.
#[derive(Default)]
struct Noting(std::sync::Mutex<Vec<(Role, Seed)>>);

/// Knows its dropout, and tells of it in every probability.
struct Dropping(f64);

impl Learner for Noting {
    fn train(
        &self,
        _: &[Id],
        _: &[Label],
        role: Role,
        seed: Seed,
        _: &mut Progress<'_>,
    ) -> Result<Box<dyn Classifier + '_>> {
        self.0.lock().unwrap().push((role, seed));
        Ok(Box::new(Dropping(match role {
            Role::Draws(monte_carlo) => monte_carlo.dropout,
            _ => 0.1 * self.0.lock().unwrap().len() as f64,
        })))
    }

    fn load(&self, _: &Path) -> Result<Box<dyn Classifier + '_>> {
        Ok(Box::new(Fixed))
    }
}

impl Classifier for Dropping {
    fn signals(&self, ids: &[Id], needs: Needs, _: Seed, _: &mut Progress<'_>) -> Result<Signals<'static>> {
        let of = |class: usize| if class == 0 { self.0 as f32 } else { 1.0 - self.0 as f32 };
        let signals = Signals::new(ids.to_vec())
            .with_probabilities(Array2::from_shape_fn((ids.len(), 2), |(_, class)| of(class)))?;
        let draws = needs.monte_carlo.map_or(0, |monte_carlo| monte_carlo.draws);
        match draws {
            0 => Ok(signals),
            _ => signals
                .with_monte_carlo(Array3::from_shape_fn((ids.len(), draws, 2), |(_, _, class)| of(class))),
        }
    }

    fn gives(&self, monte_carlo: MonteCarlo) -> bool {
        self.0 == monte_carlo.dropout
    }

    fn save(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

#[test]
fn draws_come_from_a_network_trained_with_their_dropout() {
    use crate::query::strategies::bald::{Bald, Settings};
    let mut pool = Partition::new(&[1, 2, 3]).unwrap();
    pool.learn(&[2], &[0]).unwrap();
    let strategy = Bald(Settings { draws: 4, dropout: 0.25 });
    for (of_round, expected) in [(0.25, 0.25_f32), (0.0, 0.25), (0.5, 0.25)] {
        let learner = Noting::default();
        let classifier = Dropping(of_round);
        let lens = Lens { learner: &learner, classifier: &classifier, seed: Seed::new(3) };
        let (unlabelled, labelled) = look(lens, &pool, &strategy, &mut silent()).unwrap();
        let draws = unlabelled.monte_carlo().unwrap();
        assert_eq!((draws.dim(), draws[[0, 0, 0]]), ((2, 4, 2), expected));
        assert!(labelled.monte_carlo().is_err(), "BALD looks at the unlabelled pool alone");
        let trained = learner.0.into_inner().unwrap();
        // On the same labels from the same seed, or not at all where the round's own will do.
        let another = if of_round == 0.25 {
            Vec::new()
        } else {
            vec![(Role::Draws(MonteCarlo { draws: 4, dropout: 0.25 }), Seed::new(3))]
        };
        assert_eq!(trained, another);
    }
}

#[test]
fn a_committee_is_the_rounds_own_classifier_and_others_from_other_seeds() {
    use crate::query::strategies::committee::{Committee, Settings};
    let pool = Partition::new(&[1, 2, 3]).unwrap();
    let strategy = Committee(Settings { members: 3, ..Settings::default() });
    let learner = Noting::default();
    let lens = Lens { learner: &learner, classifier: &Dropping(0.9), seed: Seed::new(3) };
    let (unlabelled, _) = look(lens, &pool, &strategy, &mut silent()).unwrap();
    let members = unlabelled.committee().unwrap();
    assert_eq!(members.slice(ndarray::s![1, .., 0]).to_vec(), [0.9, 0.1, 0.2]);
    let trained = learner.0.into_inner().unwrap();
    assert!(trained.iter().all(|(role, seed)| *role == Role::Member && *seed != Seed::new(3)));
    assert!(trained.len() == 2 && trained[0].1 != trained[1].1);
}
