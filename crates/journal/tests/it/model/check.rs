//! Asks a journal everything that can be asked, and compares it with the model.

use journal::{DeadLetterFilter, Indexed, Journal, Place, Verdict};

use super::{CONNECTIONS, KEYS, Model, SETTINGS, origin};
use crate::support::*;

impl Model {
    /// Everything that can be asked.
    pub(super) async fn check(&self, journal: &Journal) {
        self.check_records(journal).await;
        for number in 0..self.last() + 2 {
            let known = number >= self.first.max(1) && number <= self.indexed;
            let earlier = self.duplicates.get(&number).copied();
            let verdict =
                earlier.map_or(Verdict::First, |there| Verdict::DuplicateOf(place(there)));
            let expected = known.then_some(verdict);
            assert_eq!(
                journal.verdict(place(number)).await.unwrap(),
                expected,
                "of {number}"
            );
        }
        for event in 0..KEYS {
            let expected: Vec<Place> = (self.first.max(1)..=self.indexed)
                .rev()
                .filter(|number| self.event(*number) == event)
                .map(place)
                .collect();
            let found = journal.look_up(&person(&event.to_string()), 999).await;
            assert_eq!(found.unwrap(), expected, "of event {event}");
        }
        self.check_state(journal).await;
    }

    async fn check_records(&self, journal: &Journal) {
        let read = records(read_all(journal).await);
        let numbers: Vec<u64> = read.iter().map(|record| record.place.seq.get()).collect();
        let expected: Vec<u64> = (self.first.max(1)..=self.last()).collect();
        assert_eq!(numbers, expected);
        for record in &read {
            let index = usize::try_from(record.place.seq.get() - 1).unwrap();
            assert_eq!(record.body, self.records[index].0);
            assert_eq!(record.origin, origin(record.place.seq.get()));
        }
        let indexed = journal.read_indexed(place(1), ALL).await.unwrap();
        let up_to = indexed.last().map(|indexed| match indexed {
            Indexed::Record { record, .. } => record.place.seq.get(),
            Indexed::Erased(_) | Indexed::Damaged { .. } => panic!("nothing is damaged"),
        });
        let expected = (self.indexed >= self.first.max(1)).then_some(self.indexed);
        assert_eq!(up_to, expected);
    }

    async fn check_state(&self, journal: &Journal) {
        for (index, name) in CONNECTIONS.into_iter().enumerate() {
            let expected = self.cursors.get(&index).copied().map(seq);
            assert_eq!(journal.cursor(name, P).await.unwrap(), expected);
            let keys: Vec<_> = (0..KEYS).map(key).collect();
            let expected: Vec<_> = (0..KEYS)
                .map(|byte| self.claims.get(&(index, byte)).copied().map(place))
                .collect();
            assert_eq!(
                journal.first_claims(name, P, &keys).await.unwrap(),
                expected
            );
            for number in self.first.max(1)..=self.last() {
                let behind = self.traces.range((index, number)..=(index, u64::MAX));
                let covering = behind.rev().map(|(_, trace)| trace.clone());
                let expected: Vec<_> = covering
                    .filter(|trace| trace.first <= seq(number))
                    .collect();
                let found = journal.traces(name, place(number), 999).await.unwrap();
                assert_eq!(found, expected, "of {number}");
            }
            let filter = DeadLetterFilter {
                connection: Some(name.to_owned()),
                after: None,
                limit: 999,
            };
            let letters = journal.dead_letters(filter).await.unwrap();
            let reasons: Vec<_> = letters
                .into_iter()
                .map(|found| found.letter.reason)
                .collect();
            let own = self
                .letters
                .iter()
                .rev()
                .filter(|(of, _)| *of == Some(index));
            let expected: Vec<_> = own.map(|(_, reason)| reason.clone()).collect();
            assert_eq!(reasons, expected);
        }
        let expected = self.letters.len() as u64;
        assert_eq!(journal.dead_letter_count().await.unwrap(), expected);
        let expected: Vec<_> = self
            .letters
            .iter()
            .rev()
            .map(|(_, reason)| reason.clone())
            .collect();
        assert_eq!(reasons(journal).await, expected);
        for (index, name) in SETTINGS.into_iter().enumerate() {
            let setting = journal.setting(name).await.unwrap();
            let found = setting.map(|setting| (setting.value, setting.revision));
            assert_eq!(found, self.settings.get(&index).cloned());
        }
    }
}
