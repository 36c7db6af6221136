//! Lists: whom and what they hold, in which order, and that pages neither
//! overlap nor leave anything out.

use strongroom_core::store::{Change, Put};
use strongroom_core::{ApiKeyId, Role, Store};

use crate::support::{Instance, NOW, at};

#[tokio::test]
async fn members_who_left_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let mut members = vec![instance.owner];
    for _ in 0..3 {
        members.push(instance.store_member(Role::Member).await.user.row().id);
    }
    members.sort();
    let page = async |after, limit| {
        let members = instance.database.members(instance.team, after, limit).await.unwrap();
        members.iter().map(|member| member.user.row().id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, members);
    assert_eq!(page(None, 2).await, members[..2]);
    assert_eq!(page(Some(members[1]), 2).await, members[2..]);
    let gone = members.iter().copied().find(|member| *member != instance.owner).unwrap();
    let row = instance.database.member(instance.team, gone).await.unwrap().unwrap().membership;
    let removed = instance.altered(&row, |row| row.removed_at = Some(at(NOW)));
    instance.write(vec![Change::Membership(removed)]).await.unwrap();
    members.retain(|member| *member != gone);
    assert_eq!(page(None, 10).await, members);
    let found = instance.database.member(instance.team, gone).await.unwrap().unwrap();
    assert_eq!(found.membership.row().removed_at, Some(at(NOW)));
}

#[tokio::test]
async fn keys_are_listed_with_their_latest_use() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Member).await;
    let mut theirs = vec![colleague.key.row().id];
    for _ in 0..2 {
        let (key, _) = instance.new_key(colleague.user.row().id);
        theirs.push(key.id);
        instance.write(vec![Change::ApiKey(Put::new(instance.sign(key)))]).await.unwrap();
    }
    let page = async |user, after, limit| {
        let keys = instance.database.api_keys(instance.team, user, after, limit).await.unwrap();
        keys.into_iter().map(|used| (used.key.row().id, used.last_used_at)).collect::<Vec<_>>()
    };
    let unused = |ids: &[ApiKeyId]| ids.iter().map(|id| (*id, None)).collect::<Vec<_>>();
    let colleague = Some(colleague.user.row().id);
    assert_eq!(page(colleague, None, 10).await, unused(&theirs));
    assert_eq!(page(colleague, Some(theirs[0]), 1).await, unused(&theirs[1..2]));
    assert_eq!(page(None, None, 10).await.len(), 4, "the founder's, too");
    let nobodys = ApiKeyId::from_uuid(instance.id());
    let noted = [(theirs[0], NOW + 5), (theirs[1], NOW), (nobodys, NOW)];
    let noted = noted.map(|(key, used_at)| (key, at(used_at)));
    instance.database.note_uses(noted.to_vec()).await.unwrap();
    instance.database.note_uses(vec![(theirs[0], at(NOW + 1)), (theirs[1], at(NOW + 2))]).await.unwrap();
    let latest = page(colleague, None, 10).await.into_iter().map(|(_, used_at)| used_at).collect::<Vec<_>>();
    assert_eq!(
        latest,
        [Some(at(NOW + 5)), Some(at(NOW + 2)), None],
        "no earlier use takes a later one's place"
    );
    assert_eq!(instance.count("SELECT count(*) FROM api_key_uses"), 2, "a key that is gone has no uses");
}

#[tokio::test]
async fn closed_links_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let links: Vec<_> = (0..3).map(|_| instance.sign(instance.new_link(instance.owner).0)).collect();
    let put = links.iter().map(|link| Change::KeyLink(Put::new(link.clone()))).collect();
    instance.write(put).await.unwrap();
    let page = async |after, limit| {
        let links = instance.database.key_links(instance.team, after, limit).await.unwrap();
        links.iter().map(|link| link.row().id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = links.iter().map(|link| link.row().id).collect();
    assert_eq!(page(None, 10).await, ids);
    assert_eq!(page(Some(ids[0]), 1).await, ids[1..2]);
    let closed = instance.altered(&links[1], |link| link.closed_at = Some(at(NOW)));
    instance.write(vec![Change::KeyLink(closed)]).await.unwrap();
    assert_eq!(page(None, 10).await, [ids[0], ids[2]]);
    assert!(instance.database.key_link(instance.team, ids[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn versions_come_by_number() {
    let instance = Instance::new().await;
    let secret = instance.store_secret(instance.new_secret(None)).await.row().id;
    let more = (2..=12).rev().map(|number| Change::Version(instance.new_version(secret, number))).collect();
    instance.write(more).await.unwrap();
    let other = instance.store_secret(instance.new_secret(None)).await.row().id;
    let page = async |after, limit| {
        let versions = instance.database.versions(secret, after, limit).await.unwrap();
        versions.iter().map(|version| version.number).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 100).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(page(9, 2).await, [10, 11]);
    assert_eq!(instance.database.version(secret, 12).await.unwrap().unwrap().number, 12);
    assert!(instance.database.version(secret, 13).await.unwrap().is_none());
    assert!(instance.database.version(other, 2).await.unwrap().is_none());
}

#[tokio::test]
async fn deleted_secrets_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let kept = instance.store_secret(instance.new_secret(None)).await;
    let mut gone = instance.new_secret(None);
    gone.deleted_at = Some(at(NOW));
    let gone = instance.store_secret(gone).await;
    let others = instance.store_member(Role::Member).await.user.row().id;
    instance.store_secret(instance.new_secret(Some(others))).await;
    let seen = instance.database.secrets_visible_to(instance.team, instance.owner, None, 10).await.unwrap();
    assert_eq!(seen.iter().map(|row| row.row().id).collect::<Vec<_>>(), [kept.row().id]);
    assert!(instance.database.secret(instance.team, gone.row().id).await.unwrap().is_some());
}
