//! Which images a list is of, as SQL.
//!
//! Never here: their order, what is shown of them.

use rusqlite::types::Value as Sql;
use rusqlite::{Transaction, params_from_iter};

use super::{ListQuery, StateFilter};
use crate::project::store::Attempt;
use crate::project::{ImageId, suggesting};

/// The part of a query that says which images.
pub struct Filter {
    conditions: Vec<String>,
    values: Vec<Sql>,
    /// Only images with a prediction that may be shown.
    guessed: bool,
    /// Only images that are not open.
    states: bool,
    /// Only images that are.
    open: bool,
    /// The table of what models say.
    said: &'static str,
}

/// The table that a list goes along; left to itself, SQLite would begin with the large one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lead {
    Images,
    States,
    Predictions,
}

impl Lead {
    pub const fn image(self) -> &'static str {
        match self {
            Self::Images => "i.image",
            Self::States => "s.image",
            Self::Predictions => "p.image",
        }
    }
}

impl Filter {
    pub fn of(query: &ListQuery) -> Self {
        let mut filter = Self {
            conditions: Vec::new(),
            values: Vec::new(),
            guessed: false,
            states: false,
            open: false,
            said: "predictions",
        };
        match query.state {
            Some(StateFilter::Missing) => filter.and("i.missing = 1", []),
            _ => filter.and("i.missing = 0", []),
        }
        match query.state {
            None | Some(StateFilter::Missing) => {}
            Some(StateFilter::Open) => {
                filter.open = true;
                filter.and("s.image IS NULL", []);
            }
            Some(state) => {
                filter.answer();
                filter.and("s.state = ?", [Sql::from(state.word().to_string())]);
            }
        }
        if let Some(class) = query.class {
            filter.answer();
            filter.and("s.state = 'labelled' AND s.class = ?", [i64::from(class).into()]);
        }
        if let Some(class) = query.predicted {
            filter.guess();
            let these = "p.class IN (SELECT class FROM classes WHERE class = ? OR merged_into = ?)";
            filter.and(these, [i64::from(class).into(), i64::from(class).into()]);
        }
        for (limit, condition) in [(query.low, "p.confidence >= ?"), (query.high, "p.confidence <= ?")] {
            if let Some(limit) = limit {
                filter.guess();
                filter.and(condition, [limit.into()]);
            }
        }
        if let Some(flag) = query.flag {
            filter.and("(i.image IN (SELECT image FROM notes WHERE flag = 1)) = ?", [flag.into()]);
        }
        if let Some(among) = &query.among {
            let ids: Vec<String> = among.iter().map(ImageId::to_string).collect();
            filter
                .and("i.image IN (SELECT value FROM json_each(?))", [format!("[{}]", ids.join(",")).into()]);
        }
        if let Some(search) = query.search.as_deref().filter(|search| !search.is_empty()) {
            let escaped = search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            filter.and("i.path LIKE ? ESCAPE '\\'", [format!("%{escaped}%").into()]);
        }
        filter
    }

    /// By the suggestions that are shown, also of another model.
    pub fn with_shown(self, sql: &Transaction<'_>) -> Attempt<Self> {
        Ok(Self { said: suggesting::shown(sql)?.0, ..self })
    }

    pub fn and<const N: usize>(&mut self, condition: &str, values: [Sql; N]) {
        self.conditions.push(condition.into());
        self.values.extend(values);
    }

    /// Only images with a guess that may be shown.
    pub fn guess(&mut self) {
        if !self.guessed {
            self.guessed = true;
            self.and("p.image IS NOT NULL AND i.holdout = 0", []);
        }
    }

    /// Only images that are not open.
    pub fn answer(&mut self) {
        self.states = true;
    }

    /// From where, and which: with all three tables, the first as told.
    pub fn text(&self, lead: Lead) -> String {
        let said = self.said;
        let tables = match lead {
            Lead::Images => {
                format!("images AS i LEFT JOIN states AS s USING (image) LEFT JOIN {said} AS p USING (image)")
            }
            Lead::States => format!(
                "states AS s CROSS JOIN images AS i ON i.image = s.image
                 LEFT JOIN {said} AS p ON p.image = i.image"
            ),
            Lead::Predictions => format!(
                "{said} AS p CROSS JOIN images AS i ON i.image = p.image
                 LEFT JOIN states AS s ON s.image = i.image"
            ),
        };
        format!("FROM {tables} WHERE {}", self.conditions.join(" AND "))
    }

    pub fn values(&self) -> &[Sql] {
        &self.values
    }

    pub fn count(&self, sql: &Transaction<'_>) -> rusqlite::Result<usize> {
        let from = match (self.guessed, self.states, self.open) {
            // Tables that say nothing are not looked into.
            (false, false, false) => format!("FROM images AS i WHERE {}", self.conditions.join(" AND ")),
            (_, true, _) => self.text(Lead::States),
            (true, false, _) => self.text(Lead::Predictions),
            (false, false, true) => {
                let conditions = self.conditions.join(" AND ");
                format!("FROM images AS i LEFT JOIN states AS s USING (image) WHERE {conditions}")
            }
        };
        let text = format!("SELECT count(*) {from}");
        sql.prepare_cached(&text)?.query_row(params_from_iter(&self.values), |row| row.get(0))
    }
}
