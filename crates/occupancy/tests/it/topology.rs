//! What a world refuses, and that it refuses whole.

use occupancy::edit::{Change, Correction, Edit, EditError, Note};
use occupancy::installation::{Installation, InstallationError};
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, MAX_DEPTH, Reset, Side, Space, TopologyError};
use occupancy::world::World;

pub(crate) fn at(ms: i64) -> UnixMs {
    UnixMs::new(ms).unwrap()
}

pub(crate) fn space(id: &str, parent: Option<&str>) -> Space {
    Space { id: id.parse().unwrap(), parent: parent.map(|id| id.parse().unwrap()), name: None, time_zone: None, capacity: None }
}

pub(crate) fn doorway(id: &str, a: &str, b: &str) -> Doorway {
    Doorway { id: id.parse().unwrap(), name: None, between: [a.parse().unwrap(), b.parse().unwrap()] }
}

pub(crate) fn hung(dpu: &str, doorway: &str, enters: &str, from: i64, to: Option<i64>) -> Installation {
    Installation {
        dpu: dpu.parse().unwrap(),
        doorway: doorway.parse().unwrap(),
        enters: enters.parse().unwrap(),
        from: at(from),
        to: to.map(at),
    }
}

pub(crate) fn put(root: &str, document: Document) -> Edit {
    Edit { made_at: at(0), change: Change::Topology { root: root.parse().unwrap(), document, allow_removal: false } }
}

fn house() -> Document {
    Document {
        spaces: vec![space("house", None), space("hall", Some("house")), space("cafe", Some("house"))],
        resets: vec![],
        doorways: vec![doorway("front", "outside", "hall"), doorway("inner", "hall", "cafe")],
        installations: vec![hung("d1", "front", "hall", 0, None), hung("d2", "inner", "cafe", 0, None)],
    }
}

fn refused(world: &World, edit: &Edit) -> EditError {
    let mut copy = world.clone();
    let error = copy.apply(edit).unwrap_err();
    assert_eq!(&copy, world, "a refused edit changes nothing");
    error
}

#[test]
fn documents_that_break_a_rule_are_refused() {
    let world = World::default();
    let case = |change: &dyn Fn(&mut Document)| {
        let mut document = house();
        change(&mut document);
        match refused(&world, &put("house", document)) {
            EditError::Topology(error) => error,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(case(&|d| d.spaces[0].id = "casa".parse().unwrap()), TopologyError::NoRoot { .. }));
    assert!(matches!(case(&|d| d.spaces[2].parent = None), TopologyError::SecondRoot { .. }));
    assert!(matches!(case(&|d| d.spaces[2] = space("hall", Some("house"))), TopologyError::Twice { kind: "space", .. }));
    assert!(matches!(case(&|d| d.spaces[2].parent = Some("attic".parse().unwrap())), TopologyError::UnknownParent { .. }));
    assert!(matches!(
        case(&|d| {
            d.spaces[1].parent = Some("cafe".parse().unwrap());
            d.spaces[2].parent = Some("hall".parse().unwrap());
        }),
        TopologyError::Cycle { .. }
    ));
    let reset = Reset { space: "attic".parse().unwrap(), from: at(0), at: None };
    assert!(matches!(case(&|d| d.resets = vec![reset.clone()]), TopologyError::UnknownSpace { .. }));
    let reset = Reset { space: "hall".parse().unwrap(), ..reset };
    assert!(matches!(case(&|d| d.resets = vec![reset.clone(), reset.clone()]), TopologyError::Twice { kind: "a reset of", .. }));
    assert!(matches!(case(&|d| d.doorways[0].between[0] = Side::Space("hall".parse().unwrap())), TopologyError::SameSides { .. }));
    assert!(matches!(case(&|d| d.doorways[0].between[1] = Side::Space("attic".parse().unwrap())), TopologyError::UnknownSpace { .. }));
    assert!(matches!(case(&|d| d.doorways[1].id = "front".parse().unwrap()), TopologyError::Twice { kind: "doorway", .. }));
    assert!(matches!(case(&|d| d.installations[0].doorway = "back".parse().unwrap()), TopologyError::UnknownDoorway { .. }));
    assert!(matches!(case(&|d| d.installations[0].enters = "cafe".parse().unwrap()), TopologyError::NotASide { .. }));
    assert!(matches!(
        case(&|d| d.installations[1].dpu = "d1".parse().unwrap()),
        TopologyError::Installation(InstallationError::Overlap { .. })
    ));
    assert!(matches!(case(&|d| d.installations[0].to = Some(at(0))), TopologyError::Installation(InstallationError::Empty { .. })));
}

#[test]
fn what_would_vanish_is_named_unless_it_is_meant() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    let mut smaller = house();
    smaller.spaces.pop();
    smaller.doorways.pop();
    smaller.installations.pop();
    let mut edit = put("house", smaller);
    assert_eq!(
        refused(&world, &edit).to_string(),
        "this would remove space cafe, doorway inner, installation of DPU d2 over inner from 1970-01-01T00:00:00.000Z: say so (allow_removal) if that is meant"
    );
    if let Change::Topology { allow_removal, .. } = &mut edit.change {
        *allow_removal = true;
    }
    world.apply(&edit).unwrap();
    assert!(world.space("cafe").is_none() && world.installations("d2").is_empty() && world.over("inner").next().is_none());
    assert_eq!(world.subtree("house").len(), 2);
}

#[test]
fn a_document_reads_back_as_it_was_put_and_the_world_depends_on_it_alone() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    let once = world.clone();
    let document = world.document("house").unwrap();
    world.apply(&put("house", document)).unwrap();
    assert_eq!(world, once);
    assert!(world.document("hall").is_none(), "only a root has a document");
}

#[test]
fn ids_are_unique_in_the_deployment_and_doorways_keep_their_sides() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    let shed = |document: Document| refused(&world, &put("shed", document)).to_string();
    let spaces = vec![space("shed", None), space("hall", Some("shed"))];
    assert!(shed(Document { spaces, ..Document::default() }).contains("space hall already stands under root house"));
    let doorways = vec![doorway("front", "outside", "shed")];
    assert!(
        shed(Document { spaces: vec![space("shed", None)], doorways, ..Document::default() })
            .contains("doorway front already stands under root house")
    );
    let mut turned = house();
    turned.doorways[0].between.reverse();
    world.apply(&put("house", turned)).unwrap();
    let mut rebuilt = house();
    rebuilt.doorways[0] = doorway("front", "outside", "cafe");
    rebuilt.installations[0].enters = "cafe".parse().unwrap();
    assert!(refused(&world, &put("house", rebuilt)).to_string().contains("a rebuilt doorway needs a new id"));
}

#[test]
fn a_dpu_moves_between_roots_but_hangs_in_one_place_at_a_time() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    let shed = |from| Document {
        spaces: vec![space("shed", None)],
        doorways: vec![doorway("gate", "outside", "shed")],
        installations: vec![hung("d1", "gate", "shed", from, None)],
        ..Document::default()
    };
    assert!(matches!(
        refused(&world, &put("shed", shed(500))),
        EditError::Topology(TopologyError::Installation(InstallationError::Overlap { .. }))
    ));
    let list = vec![hung("d1", "front", "hall", 0, Some(500))];
    world.apply(&Edit { made_at: at(0), change: Change::Installations { dpu: "d1".parse().unwrap(), list } }).unwrap();
    world.apply(&put("shed", shed(500))).unwrap();
    assert_eq!(world.installations("d1").len(), 2);
    // Editing one root leaves the DPU's time under the other alone.
    world.apply(&put("house", world.document("house").unwrap())).unwrap();
    assert_eq!(world.installations("d1").len(), 2);
}

#[test]
fn corrections_are_made_once_and_retracted_once() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    let make = |id: &str, space: &str| Correction { id: id.parse().unwrap(), space: space.parse().unwrap(), at: at(10), count: 3 };
    let edit = |change| Edit { made_at: at(1), change };
    let note = |reason: &str| Note { reason: reason.to_owned(), by: Some("ann".to_owned()) };
    let both = edit(Change::Corrections { corrections: vec![make("c1", "hall"), make("c2", "house")], note: note("counted") });
    world.apply(&both).unwrap();
    assert_eq!(refused(&world, &both), EditError::CorrectionExists("c1".parse().unwrap()));
    let unknown = edit(Change::Corrections { corrections: vec![make("c3", "hall"), make("c4", "attic")], note: note("") });
    assert_eq!(refused(&world, &unknown), EditError::UnknownSpace("attic".parse().unwrap()));
    let retract = edit(Change::Retraction { id: "c1".parse().unwrap(), note: note("miscounted") });
    world.apply(&retract).unwrap();
    assert_eq!(refused(&world, &retract), EditError::AlreadyRetracted("c1".parse().unwrap()));
    let told: Vec<_> = world.corrections().iter().map(|made| (made.correction.id.as_str(), made.order, &made.retracted)).collect();
    assert_eq!(told, [("c1", 0, &Some((at(1), note("miscounted")))), ("c2", 1, &None)], "a retracted correction is kept");
    assert_eq!(world.correction("c2").map(|made| &made.note), Some(&note("counted")));
    assert_eq!(world.correction("c3"), None);
    assert_eq!(world.corrections_of("hall").unwrap().len(), 0);
}

#[test]
fn a_root_can_be_taken_away_and_stand_under_another() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    assert!(matches!(refused(&world, &put("house", Document::default())), EditError::Topology(TopologyError::Removal(_))));
    assert!(matches!(refused(&world, &put("shed", Document::default())), EditError::Topology(TopologyError::NoRoot { .. })));
    let mut campus = house();
    campus.spaces[0].parent = Some("campus".parse().unwrap());
    campus.spaces.push(space("campus", None));
    assert!(refused(&world, &put("campus", campus.clone())).to_string().contains("take it away there before it can stand under campus"));
    let change = Change::Topology { root: "house".parse().unwrap(), document: Document::default(), allow_removal: true };
    world.apply(&Edit { made_at: at(0), change }).unwrap();
    assert!(world.spaces().next().is_none() && world.placed().next().is_none());
    world.apply(&put("campus", campus)).unwrap();
    assert_eq!(world.root_of("hall").unwrap().as_str(), "campus");
}

#[test]
fn trees_are_no_deeper_than_a_climb_may_be() {
    let chain = |depth: usize| {
        // The deepest sorts first, so that every climb is a long one.
        let id = |i: usize| format!("s{:03}", 999 - i);
        let spaces = (0..depth).map(|i| space(&id(i), (i > 0).then(|| id(i - 1)).as_deref())).collect();
        put("s999", Document { spaces, ..Document::default() })
    };
    let mut world = World::default();
    world.apply(&chain(MAX_DEPTH + 1)).unwrap();
    assert!(matches!(refused(&world, &chain(MAX_DEPTH + 2)), EditError::Topology(TopologyError::TooDeep { .. })));
    let mut forward = Document { spaces: vec![space("a0", None)], ..Document::default() };
    forward.spaces.extend((1..=MAX_DEPTH + 1).map(|i| space(&format!("a{i}"), Some(&format!("a{}", i - 1)))));
    assert!(matches!(refused(&world, &put("a0", forward)), EditError::Topology(TopologyError::TooDeep { .. })));
}

#[test]
fn a_refusal_names_the_first_few() {
    let mut world = World::default();
    let spaces = std::iter::once(space("root", None)).chain((0..30).map(|i| space(&format!("s{i}"), Some("root")))).collect();
    world.apply(&put("root", Document { spaces, ..Document::default() })).unwrap();
    let error = refused(&world, &put("root", Document { spaces: vec![space("root", None)], ..Document::default() }));
    assert!(error.to_string().contains(" and 10 more: say so"), "{error}");
}

#[test]
fn boundaries_follow_the_tree_whatever_edits_came_before() {
    let mut world = World::default();
    world.apply(&put("house", house())).unwrap();
    let names = |world: &World, id: &str| world.boundary(id).map(|(doorway, side)| format!("{doorway}:{side}")).collect::<Vec<_>>();
    assert_eq!(names(&world, "house"), ["front:hall"]);
    assert_eq!(names(&world, "hall"), ["front:hall", "inner:hall"]);
    assert_eq!(names(&world, "cafe"), ["inner:cafe"]);
    let mut nested = house();
    nested.spaces[2].parent = Some("hall".parse().unwrap());
    world.apply(&put("house", nested)).unwrap();
    assert_eq!(names(&world, "hall"), ["front:hall"], "the cafe is part of the hall now");
    world.apply(&put("house", house())).unwrap();
    assert_eq!(names(&world, "hall"), ["front:hall", "inner:hall"]);
}
