//! Which rules a run has made use of: what was never needed is not proven by it.

use std::collections::BTreeMap;

use marks::{Hits, Need, Reach};

/// What seeds have hit.
#[derive(Debug)]
pub struct Coverage {
    needs: Vec<Need>,
    /// In how many seeds each need was met between two of ours.
    seeds: Vec<u64>,
    /// In how many beside a dhcpd.
    beside: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        let needs = marks::needs(true);
        Self { seeds: vec![0; needs.len()], beside: vec![0; needs.len()], needs }
    }
}

impl Coverage {
    /// Takes in what one seed has hit.
    pub fn add(&mut self, hits: &Hits, beside_dhcpd: bool) {
        let seeds = if beside_dhcpd { &mut self.beside } else { &mut self.seeds };
        for (need, seeds) in self.needs.iter().zip(seeds) {
            *seeds += u64::from(need.is_met_by(hits));
        }
    }

    /// Prints what was hit, by group; with `all` in how many seeds each rule was.
    pub fn print(&self, all: bool) {
        let mut groups: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
        for (need, seeds) in self.each() {
            let column = match (seeds, marks::unreachable(need)) {
                (1.., _) => 0,
                (0, None) => 1,
                (0, Some(Reach::NotBetweenOurs(_) | Reach::Rare(_) | Reach::Outside(_))) => 2,
                (0, Some(Reach::Never(_))) => 3,
            };
            groups.entry(need.mark.group()).or_default()[column] += 1;
        }
        println!("  rules, by group                hit  never  by tests  proven unreachable");
        for (group, [hit, never, by_tests, unreachable]) in groups {
            println!("    {group:<26} {hit:>5} {never:>6} {by_tests:>9} {unreachable:>19}");
        }
        if all {
            for (need, seeds) in self.each() {
                println!("  {seeds:>7} seeds: {}: {need}", need.mark.group());
            }
        }
    }

    /// What is wrong: rules that were never hit, and rules that were although a proof says that they cannot be.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let wrong = |((need, all), ours): ((&Need, u64), &u64)| {
            let (seeds, proof) = match marks::unreachable(need) {
                None if all == 0 => return Some(format!("never hit: {}: {need}", need.mark.group())),
                Some(Reach::Never(proof)) => (all, proof),
                Some(Reach::NotBetweenOurs(proof)) => (*ours, proof),
                None | Some(Reach::Rare(_) | Reach::Outside(_)) => return None,
            };
            let group = need.mark.group();
            (seeds > 0).then(|| format!("hit in {seeds} seeds: {group}: {need}, although {proof}"))
        };
        self.each().zip(&self.seeds).filter_map(wrong).collect()
    }

    fn each(&self) -> impl Iterator<Item = (&Need, u64)> {
        let all = self.seeds.iter().zip(&self.beside).map(|(ours, beside)| ours + beside);
        self.needs.iter().zip(all)
    }
}
