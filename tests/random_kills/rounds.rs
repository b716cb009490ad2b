//! One kill after another: what is done before it, what is killed, and what is asked afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::aim::Aims;
use crate::chance::Chance;
use crate::http::{Act, Server};
use crate::kill::{Killed, Whom, kill, quiet};
use crate::look::{self, Before};
use crate::reference::Reference;
use crate::support::{succeed, text};
use crate::world::{STAGES, VARIANTS, World, lines};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Build,
    Prune,
    Gc,
    Push,
}

/// One kill, and what it left.
pub struct Round {
    pub kind: Kind,
    pub whom: Whom,
    pub beside: Option<&'static str>,
    /// Whether the command was killed; else it had ended before.
    pub killed: bool,
    /// What was done, for a person.
    pub words: String,
    pub wrong: Vec<String>,
}

pub struct Rounds {
    pub world: World,
    pub references: Vec<Reference>,
    chance: Chance,
    /// How long each command takes undisturbed; of a build by the first stage that it makes.
    aims: Aims,
    mended: BTreeMap<String, u64>,
    server: Server,
    caches: usize,
}

/// A command to be killed.
struct Work {
    kind: Kind,
    words: String,
    command: Command,
    /// What it was timed as.
    name: String,
}

impl Rounds {
    /// Builds each variant undisturbed, and measures how long everything takes.
    pub fn new(chance: Chance) -> Self {
        let world = World::new();
        let caches = world.path("caches");
        fs::create_dir_all(&caches).expect("made");
        let server = Server::new(&caches, |_, _| Act::Serve);
        let mut references = Vec::new();
        for variant in 0..VARIANTS {
            world.write(variant);
            references.push(Reference::of(&world, &succeed(&mut world.build())));
        }
        let (aims, mended) = (Aims::default(), BTreeMap::new());
        let mut rounds = Self { world, references, chance, aims, mended, server, caches: 0 };
        rounds.measure();
        rounds
    }

    fn measure(&mut self) {
        let last = VARIANTS - 1;
        for first in 0..STAGES.len() {
            self.lose(last, first);
            let output = self.time(&format!("build {first}"), &mut self.world.build());
            assert_eq!(self.references[last].compare_build(&self.world, &output), Vec::<String>::new(), "undisturbed");
        }
        self.time("prune", &mut self.world.phasesplit(&["roots", "prune", "--keep-last", "0"]));
        self.time("gc", &mut self.world.phasesplit(&["roots", "gc"]));
        succeed(&mut self.world.build());
        for (name, url, _) in [self.cache(true), self.cache(false)] {
            self.time(name, &mut self.push(&url, "zstd"));
        }
    }

    fn time(&mut self, name: &str, command: &mut Command) -> Output {
        let start = Instant::now();
        let output = succeed(command);
        println!("undisturbed: {name} {:.2} s", start.elapsed().as_secs_f64());
        self.aims.measured(name, start.elapsed());
        output
    }

    /// A cache that is empty yet: what it is, its URL and its directory.
    fn cache(&mut self, by_http: bool) -> (&'static str, String, PathBuf) {
        self.caches += 1;
        let directory = self.world.path("caches").join(self.caches.to_string());
        if by_http {
            // Nix asks whether it is a cache, and makes none there.
            fs::create_dir_all(&directory).expect("made");
            let info = format!("StoreDir: {}\n", self.world.path("store").display());
            fs::write(directory.join("nix-cache-info"), info).expect("written");
            ("push by HTTP", format!("{}/{}", self.server.url, self.caches), directory)
        } else {
            ("push to a directory", format!("file://{}", directory.display()), directory)
        }
    }

    pub fn push(&self, url: &str, compression: &str) -> Command {
        let words = ["cache", "push", "pkg.nix", "--pkgs", "host", "--with-outputs", "--json", "--to", url];
        let mut command = self.world.phasesplit(&words);
        command.args(["--compression", compression]);
        command
    }

    /// Has a variant's stages from `first` on to be built again, and its package file in place.
    fn lose(&self, variant: usize, first: usize) {
        let reference = &self.references[variant];
        let states: Vec<&str> = reference.states().iter().skip(first).map(String::as_str).collect();
        self.world.lose(&states, reference.result());
        self.world.write(variant);
    }

    /// Builds these variants undisturbed, with each of their states.
    pub fn build_all(&self, variants: &[usize]) {
        for variant in variants {
            let reference = &self.references[*variant];
            let invalid = self.world.invalid(reference.states().iter().map(String::as_str));
            // A result that is there needs no states, so it would be built without them.
            if !invalid.is_empty() {
                self.world.lose(&[], reference.result());
            }
            self.world.write(*variant);
            succeed(&mut self.world.build());
        }
    }

    /// What the doctor found and mended in all rounds, and how often.
    pub fn mended(&self) -> &BTreeMap<String, u64> {
        &self.mended
    }

    /// The kind of kill that is next: one of `first` while there are such.
    pub fn choose(&mut self, first: &[Kind]) -> Kind {
        if !first.is_empty() {
            return *self.chance.one_of(first);
        }
        match self.chance.below(10) {
            0..5 => Kind::Build,
            5..7 => Kind::Prune,
            7 => Kind::Gc,
            _ => Kind::Push,
        }
    }

    pub fn next(&mut self, kind: Kind) -> Round {
        match kind {
            Kind::Build => self.kill_build(),
            Kind::Prune => self.kill_prune(),
            Kind::Gc => self.kill_gc(),
            Kind::Push => self.kill_push(),
        }
    }

    fn kill_build(&mut self) -> Round {
        let (variant, first) = (self.chance.below(VARIANTS), self.chance.below(STAGES.len()));
        self.lose(variant, first);
        let before = Before::of(&self.world);
        let work = Work {
            kind: Kind::Build,
            words: format!("build of variant {variant} from {} on", STAGES[first]),
            command: self.world.build(),
            name: format!("build {first}"),
        };
        let mut round = self.kill(work);
        let world = &self.world;
        round.wrong.extend(before.lost_by_build(world));
        let rooted = world.rooted();
        let output = world.build().output().expect("runs");
        let reference = &self.references[variant];
        round.wrong.extend(reference.compare_build(world, &output));
        round.wrong.extend(before.lost_by_build(world));
        // A result that is there needs no states: those that were collected beside it are not made again for it.
        let invalid = world.invalid(reference.states().iter().map(String::as_str));
        let states: Vec<String> =
            reference.states().iter().filter(|state| !invalid.contains(*state)).cloned().collect();
        if !invalid.is_empty() && round.beside != Some("nix-collect-garbage") {
            round.wrong.push(format!("{invalid:?} are not there, and nothing collected them"));
        }
        round.wrong.extend(look::unknown(world, &states));
        if output.status.success() && !round.wrong.is_empty() {
            round
                .wrong
                .push(format!("the second build said:\n{}\nrooted before it: {rooted:#?}", text(&output.stderr)));
        }
        self.end(round)
    }

    fn kill_prune(&mut self) -> Round {
        let other = self.chance.below(VARIANTS - 1);
        self.build_all(&[VARIANTS - 1, other]);
        let size = (self.chance.below(4_000_000)).to_string();
        let ways: [&[&str]; 5] = [
            &["prune", "--keep-last", "1"],
            &["prune", "--keep-last", "0", "--keep-stage", "build"],
            &["prune", "--older-than", "0s", "--stage", "install"],
            &["prune", "--max-size", &size],
            &["rm", "kills"],
        ];
        let mut words = vec!["roots"];
        words.extend(*self.chance.one_of(&ways));
        // A second counts as one: an age of none is over by then.
        std::thread::sleep(Duration::from_millis(1100));
        let before = Before::of(&self.world);
        let is_rm = words[1] == "rm";
        let dry = self.world.json(&[words.as_slice(), &["--dry-run", "--json"]].concat());
        let dry = if is_rm { &dry } else { &dry["givenUp"] };
        let dry = dry.as_array().expect("a list").iter();
        let may_go: BTreeSet<String> = dry.filter_map(|root| root["path"].as_str()).map(str::to_owned).collect();
        let work = Work {
            kind: Kind::Prune,
            words: words[1..].join(" "),
            command: self.world.phasesplit(&words),
            name: "prune".to_owned(),
        };
        let mut round = self.kill(work);
        let world = &self.world;
        round.wrong.extend(before.lost(world, |path| may_go.contains(path)));
        let again = world.phasesplit(&words).output().expect("runs");
        // By hand, what is gone is no longer known by its name.
        let is_gone = is_rm && text(&again.stderr).contains("no state of phasesplit is rooted");
        if !again.status.success() && !is_gone {
            round.wrong.push(format!("the second time it ended with {}: {}", again.status, text(&again.stderr)));
        }
        round.wrong.extend(before.lost(world, |path| may_go.contains(path)));
        let left: BTreeSet<String> = world.rooted().into_values().map(|(_, path)| path).collect();
        let expected = before.rooted.values().map(|(_, path)| path.clone()).filter(|path| !may_go.contains(path));
        if left != expected.collect() {
            round.wrong.push(format!("it should give up {may_go:#?}, and left are {left:#?}"));
        }
        self.end(round)
    }

    fn kill_gc(&mut self) -> Round {
        let other = self.chance.below(VARIANTS - 1);
        self.build_all(&[VARIANTS - 1, other]);
        let give_up: [&[&str]; 2] = [&["roots", "prune", "--keep-last", "1"], &["roots", "prune", "--max-size", "0"]];
        let give_up = give_up[self.chance.below(2)];
        succeed(&mut self.world.phasesplit(give_up));
        let before = Before::of(&self.world);
        let goes = self.world.json(&["roots", "gc", "--dry-run", "--json"]);
        let goes: Vec<&str> = goes["deleted"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let work = Work {
            kind: Kind::Gc,
            words: format!("gc of {}", goes.len()),
            command: self.world.phasesplit(&["roots", "gc"]),
            name: "gc".to_owned(),
        };
        let mut round = self.kill(work);
        let world = &self.world;
        round.wrong.extend(before.lost(world, |_| false));
        let again = world.phasesplit(&["roots", "gc"]).output().expect("runs");
        if !again.status.success() {
            round.wrong.push(format!("the second time it ended with {}: {}", again.status, text(&again.stderr)));
        }
        round.wrong.extend(before.lost(world, |_| false));
        let kept: Vec<&str> = before.rooted.values().map(|(_, path)| path.as_str()).collect();
        let needed: BTreeSet<String> = if kept.is_empty() {
            BTreeSet::new()
        } else {
            lines(world.nix("nix-store", &["--query", "--requisites"]).args(kept)).into_iter().collect()
        };
        let gone = world.invalid(goes.iter().copied());
        let left = goes.iter().filter(|path| !gone.contains(**path) && !needed.contains(**path));
        round.wrong.extend(left.map(|path| format!("{path} was given up, nothing needs it, and it is there")));
        self.end(round)
    }

    fn kill_push(&mut self) -> Round {
        let variant = self.chance.below(VARIANTS);
        self.build_all(&[variant]);
        let by_http = self.chance.once_in(2);
        let (name, url, directory) = self.cache(by_http);
        let compression = *self.chance.one_of(&["zstd", "xz", "none"]);
        let before = Before::of(&self.world);
        let work = Work {
            kind: Kind::Push,
            words: format!("{name}, {compression}, of variant {variant}"),
            command: self.push(&url, compression),
            name: name.to_owned(),
        };
        let mut round = self.kill(work);
        let world = &self.world;
        // The server may be about to write what it has got.
        std::thread::sleep(Duration::from_millis(20));
        round.wrong.extend(look::cache_damaged(world, &directory));
        round.wrong.extend(before.lost(world, |_| false));
        let again = self.push(&url, compression).output().expect("runs");
        if !again.status.success() {
            round.wrong.push(format!("the second time it ended with {}: {}", again.status, text(&again.stderr)));
        }
        round.wrong.extend(look::cache_lacks(&directory, &self.references[variant].paths));
        round.wrong.extend(look::cache_damaged(world, &directory));
        self.end(round)
    }

    /// Kills it, and asks what must be good whatever it was.
    fn kill(&mut self, work: Work) -> Round {
        let Work { kind, words, mut command, name: timed } = work;
        let whom = if self.chance.once_in(3) { Whom::Alone } else { Whom::Group };
        let (time, delay) = (self.aims.time(&timed), self.aims.moment(&timed, &mut self.chance));
        let moment = time.mul_f64(self.chance.part());
        let beside = match self.chance.below(4) {
            0 => Some(("nix-collect-garbage", self.world.nix("nix-collect-garbage", &[]))),
            1 if kind == Kind::Build => Some(("the same build", self.world.build())),
            _ => None,
        };
        let name = beside.as_ref().map(|(name, _)| *name);
        let beside = beside.map(|(_, command)| (moment, command));
        let (Killed { in_time, took, said }, ended) = kill(&self.world, &mut command, delay, whom, beside);
        let misses = self.aims.result(&timed, in_time, took);
        // Each halves the moment: this is no matter of speed.
        assert!(misses < 40, "{words}: it cannot be killed");
        let mut words = format!("{words}: {whom:?} after {:.3} s of {:.3} s", delay.as_secs_f64(), time.as_secs_f64());
        if let Some(name) = name {
            let _ = write!(words, ", {name} after {:.3} s", moment.as_secs_f64());
        }
        println!("{words}{}", if in_time { "" } else { ": it had ended" });
        let _ = write!(words, "; it said:\n{said}");
        let mut wrong = Vec::new();
        if let Some(ended) = ended.filter(|ended| !ended.status.success()) {
            wrong.push(format!("what ran beside it ended with {}: {}", ended.status, text(&ended.stderr)));
        }
        // What the killed program started still runs, sometimes also while the next command does.
        if self.chance.once_in(2) {
            wrong.extend(quiet(&self.world).err().map(|error| error.to_string()));
        }
        wrong.extend(look::unreadable(&self.world));
        // Either way must do: with the doctor, and without.
        if self.chance.once_in(3) {
            wrong.extend(self.mend());
        }
        Round { kind, whom, beside: name, killed: in_time, words, wrong }
    }

    /// What must be good at the end of a round.
    fn end(&mut self, mut round: Round) -> Round {
        round.wrong.extend(quiet(&self.world).err().map(|error| error.to_string()));
        round.wrong.extend(self.mend());
        round.wrong.extend(look::unreadable(&self.world));
        round.wrong.extend(look::dangling(&self.world));
        round.wrong.extend(look::damaged(&self.world));
        round
    }

    fn mend(&mut self) -> Vec<String> {
        let (found, left) = look::mend(&self.world);
        for problem in found {
            *self.mended.entry(problem).or_default() += 1;
        }
        left
    }
}
