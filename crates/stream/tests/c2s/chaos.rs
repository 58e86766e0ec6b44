//! Anything, in any order, cut anywhere: nothing panics, and what a driver relies on holds.

use crate::pair::{AUTH, BIND, Cut, HEADER, Pair, config, message, secure, starttls};
use jackdaw_stanza::Settle;
use jackdaw_stream::StreamError;
use jackdaw_stream::c2s::Disconnected;
use proptest::prelude::*;
use std::time::Duration;

/// What a client may send, in and out of turn.
const INPUTS: [&str; 20] = [
    HEADER,
    AUTH,
    BIND,
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hLHI9Yg==</auth>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</response>",
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>\
     AGp1bGlldAByMG0zMA==</initial-response><bind xmlns='urn:xmpp:bind:0'>\
     <enable xmlns='urn:xmpp:sm:3' resume='1'/></bind></authenticate>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<resume xmlns='urn:xmpp:sm:3' previd='AAAAAAAAAAceTXWHeSUE00Vhh1R8nNPc' h='0'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<inactive xmlns='urn:xmpp:csi:0'/>",
    "<active xmlns='urn:xmpp:csi:0'/>",
    "<presence/>",
    "<message to='romeo@example.org'><body>Ay me!</body></message>",
    "<iq type='bad' id='1'/>",
    " ",
    "</stream:stream>",
    "<\0",
];

#[derive(Clone, Debug)]
enum Step {
    Client(usize),
    Part(usize, usize),
    Accept(u32),
    Deliver(u64),
    Wait(u64),
    Pause,
    Resume,
    Answer,
    Disconnect,
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..INPUTS.len()).prop_map(Step::Client),
        2 => (0..INPUTS.len(), 0..40usize).prop_map(|(input, length)| Step::Part(input, length)),
        3 => (0..6u32).prop_map(Step::Accept),
        5 => (0..9u64).prop_map(Step::Deliver),
        2 => (0..400u64).prop_map(Step::Wait),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        8 => Just(Step::Answer),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Shutdown),
    ]
}

/// Half of the runs begin with a bound resource, else few would ever have one.
fn begin(phase: u8, at_once: bool) -> Pair {
    let transport = if phase == 0 { starttls() } else { secure() };
    let mut pair = Pair::new(Cut::Whole, config(), transport);
    if phase > 1 {
        pair.log_in();
    }
    pair.answers.at_once = at_once;
    pair.answers.accept = false;
    pair
}

fn take(pair: &mut Pair, step: &Step) {
    match *step {
        Step::Client(input) => {
            pair.client(INPUTS[input]);
        }
        Step::Part(input, length) => {
            pair.client(INPUTS[input].get(..length).unwrap_or("<a"));
        }
        Step::Accept(number) => {
            pair.accept(number);
        }
        Step::Deliver(settle) => {
            pair.deliver_tracked(message("Ay me!"), (settle > 3).then_some(Settle(settle)));
        }
        Step::Wait(seconds) => {
            pair.wait(Duration::from_secs(seconds));
        }
        Step::Pause => pair.c2s.pause(),
        Step::Resume => {
            pair.call(|c2s, cx| c2s.resume(cx));
            pair.read_on();
        }
        Step::Answer if !pair.answers.waiting.is_empty() => pair.answer_next(),
        Step::Answer => {}
        Step::Disconnect => {
            pair.c2s.handle_disconnect(pair.now);
        }
        Step::Shutdown => {
            pair.close(StreamError::system_shutdown());
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_a_session_ends_once_and_leaves_nothing_behind(
        phase in 0..4u8,
        at_once: bool,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut pair = begin(phase, at_once);
        let was_bound = phase > 1;
        for step in &steps {
            take(&mut pair, step);
            prop_assert!(!pair.c2s.is_established() || pair.c2s.next_timeout().is_some());
        }
        pair.wait(Duration::from_secs(10_000));
        let is_resumable = pair.c2s.handle_disconnect(pair.now) == Disconnected::Resumable;
        pair.wait(Duration::from_secs(10_000));
        let log = pair.log();
        prop_assert!(log.matches("* ended").count() <= 1, "{}", log);
        prop_assert!(log.matches("* close").count() <= 1, "{}", log);
        prop_assert!(!is_resumable || log.contains("* ended"), "{}", log);
        let was_bound = was_bound || log.contains("* bind");
        prop_assert!(was_bound || !log.contains("* ended"), "{}", log);
        prop_assert_eq!(pair.c2s.next_timeout(), None);
        prop_assert_eq!(pair.c2s.jid(), None);
        let unsettled = pair.c2s.take_unacknowledged();
        prop_assert!(unsettled.len() <= 20);
    }

    #[test]
    fn any_bytes_are_survived(
        phase in 0..4u8,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut pair = begin(phase, true);
        pair.client_bytes(&bytes);
        pair.client(HEADER).client(BIND);
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same(cuts in prop::collection::vec(1..80usize, 1..40)) {
        let script = [HEADER, AUTH, HEADER, BIND, INPUTS[8], INPUTS[15], INPUTS[10], INPUTS[18]];
        let run = |cuts: &[usize]| {
            let mut pair = Pair::new(Cut::Whole, config(), secure());
            let script = script.concat();
            let mut rest = script.as_str();
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().expect("a cycle")).min(rest.len()));
                pair.client(now);
                rest = later;
            }
            // What is written and what happened are two rows; how they mix depends on the cuts.
            let log = pair.log();
            log.lines().map(|line| line.trim().to_owned()).partition::<Vec<_>, _>(|line| line.starts_with('*'))
        };
        prop_assert_eq!(run(&cuts), run(&[10_000]));
    }
}
