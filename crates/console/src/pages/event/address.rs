//! Places in addresses: `4711`, or `p2-4711` where there are partitions.

use journal::Place;

/// Where everything about a record is shown.
pub(crate) fn event_path(place: &Place) -> String {
    format!("/events/{}", address(place))
}

/// The record as a part of an address.
pub(crate) fn address(place: &Place) -> String {
    place.to_string().replace('/', "-")
}

/// The record that an address names, in its form or as people write it.
pub(crate) fn place_of(text: &str) -> Option<Place> {
    text.replacen('-', "/", 1).parse().ok()
}

#[cfg(test)]
mod tests {
    use journal::{Partition, Seq};

    use super::*;

    #[test]
    fn an_address_reads_back_in_both_forms() {
        for (partition, address_of_it, written) in [(0, "4711", "4711"), (2, "p2-4711", "p2/4711")]
        {
            let place = Place::new(Partition::new(partition), Seq::new(4711));
            assert_eq!(address(&place), address_of_it);
            assert_eq!(place_of(address_of_it), Some(place));
            assert_eq!(place_of(written), Some(place));
        }
        for other in ["", "-", "p2-", "-4711", "4711-2", "p2-47-11", "<b>"] {
            assert_eq!(place_of(other), None, "{other}");
        }
    }
}
