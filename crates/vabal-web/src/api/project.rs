//! The project as a whole: what it is, its settings, how it stands, its training.

use serde::Serialize;
use serde_json::{Value, json as object};
use vabal::project::{Counts, Overview, Project, learn};
use vabal::{Error, Result, STRATEGIES};

use super::{body, json, json_with_round};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::Request;
use crate::training::{Pulse, Training};

/// `GET /api/project`
pub fn show(app: &App, _: &Request) -> Answer {
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        overview: Overview,
        person: Option<&'a str>,
        /// The strategies that there are.
        strategies: Vec<&'static str>,
    }
    json_with_round(&Shown {
        overview: app.read(Project::overview)?,
        person: app.person.as_deref(),
        strategies: STRATEGIES.names(),
    })
}

/// `PUT /api/settings`
pub fn change_settings(app: &App, request: &Request) -> Answer {
    let change: Value = body(request)?;
    json(&app.write(|project| project.change_settings(&change))?)
}

/// `GET /api/status`
pub fn status(app: &App, _: &Request) -> Answer {
    let mut status = app.read(|project| (app.work.status)(project))?;
    if let Value::Object(fields) = &mut status {
        fields.insert("training".into(), object!(app.read(|project| pulse_of(project, &app.training))?));
    }
    json(&status)
}

/// `POST /api/train`
pub fn train(app: &App, _: &Request) -> Answer {
    if let Some(needs) = app.read(learn::obstacle)? {
        return Err(Failure::new(
            409,
            Error::input("there is not enough to train on").expected(needs).hint("label more images first"),
        ));
    }
    match app.train()? {
        true => json(&object!({ "started": true })),
        false => Err(Failure::new(
            409,
            Error::input("a training is under way").hint("wait for it, or stop it: its progress is shown"),
        )),
    }
}

/// `POST /api/train/stop`
pub fn stop(app: &App, _: &Request) -> Answer {
    json(&object!({ "stopping": app.training.stop() }))
}

/// `GET /api/pulse`
pub fn pulse(app: &App, _: &Request) -> Answer {
    #[derive(Serialize)]
    struct Beat {
        round: u64,
        counts: Counts,
        labels_until_training: usize,
        training: Pulse,
    }
    json(&app.read(|project| {
        Ok(Beat {
            round: project.newest_round()?.map_or(0, |(round, _)| round),
            counts: project.counts()?,
            labels_until_training: project.labels_until_training()?,
            training: pulse_of(project, &app.training)?,
        })
    })?)
}

fn pulse_of(project: &Project, training: &Training) -> Result<Pulse> {
    let mut pulse = training.pulse();
    if pulse.state != "running" {
        pulse.needs = learn::obstacle(project)?;
    }
    Ok(pulse)
}

/// Labels that can be trained on.
pub fn labels(counts: &Counts) -> u64 {
    counts.labelled.saturating_sub(counts.holdout.labelled) as u64
}

/// Whether a training is to begin by itself.
pub fn due(project: &Project, training: &Training) -> Result<bool> {
    let every = project.settings()?.retrain_every as u64;
    Ok(project.labels_until_training()? == 0
        && training.may_begin(labels(&project.counts()?), every)
        && learn::obstacle(project)?.is_none())
}
