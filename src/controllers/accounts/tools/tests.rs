//! What an account makes of the listings of a provider that is played here.

use super::*;
use crate::api::{NamespacedName, Part};
use crate::model::identity::Whose;
use crate::model::tool::{Made, Order, Sought, Stage, Wish};
use crate::tools;
use crate::wire::Connection;

/// Plays a provider: what exists, and which resources were asked for by themselves.
#[derive(Default)]
struct Played {
    exists: Mutex<HashSet<String>>,
    down: Mutex<bool>,
    looked: Mutex<Vec<String>>,
}

impl Played {
    fn answer<T: Send + 'static>(&self, value: T) -> BoxFuture<'_, Done<T>> {
        let answer = if *held(&self.down) {
            Err(Fault::Transient {
                message: "down".into(),
            })
        } else {
            Ok(value)
        };
        async move { answer }.boxed()
    }

    fn looks(&self) -> Vec<String> {
        std::mem::take(&mut *held(&self.looked))
    }
}

impl Provider for Played {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        self.answer(Whose {
            id: None,
            name: "acme".into(),
            plan: String::new(),
        })
    }

    fn make<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Done<Made>> {
        unreachable!("an observer makes nothing")
    }

    fn find<'a>(&'a self, _: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        unreachable!("an observer looks for nothing")
    }

    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        held(&self.looked).push(named.id.clone());
        let exists = held(&self.exists).contains(&named.id);
        self.answer(exists.then(|| resource(&named.id)))
    }

    fn adjust<'a>(&'a self, _: &'a Named, _: &'a Wish) -> BoxFuture<'a, Done<()>> {
        unreachable!("an observer changes nothing")
    }

    fn delete<'a>(&'a self, _: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        unreachable!("an observer deletes nothing")
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        self.answer(None)
    }
}

fn account() -> (ToolAccount, Arc<Played>) {
    let played = Arc::new(Played::default());
    let connection = Connection::of_an_onlooker(
        reqwest::Client::new(),
        Duration::from_secs(1),
        Arc::new(|| Timestamp::UNIX_EPOCH),
    );
    let credential = SecretString::from("one");
    let line = tools::open(ProviderSettings::Exa, &credential, 1, connection).line;
    let opened = Opened {
        provider: Arc::clone(&played) as Arc<dyn Provider>,
        line,
    };
    (
        ToolAccount::new(
            ("search", "uid"),
            "exa",
            ProviderSettings::Exa,
            opened,
            None,
        ),
        played,
    )
}

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn resource(id: &str) -> Resource {
    Resource {
        part: Part::Main,
        id: id.into(),
        name: format!("name-of-{id}"),
        address: None,
        stage: Stage::Ready,
        settings: None,
        usage: None,
        created: None,
        monthly_usd: crate::api::money::Money::ZERO,
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("k-{number:02}")).collect()
}

fn stock(ids: &[String]) -> Stock {
    Stock {
        begun: Timestamp::UNIX_EPOCH,
        resources: ids.iter().map(|id| resource(id)).collect(),
    }
}

fn recorded(ids: &[String]) -> Vec<Recorded> {
    ids.iter()
        .map(|id| Recorded {
            instance: NamespacedName {
                namespace: "team".into(),
                name: format!("agent-{id}"),
            },
            named: Named {
                part: Part::Main,
                id: id.clone(),
                key: format!("name-of-{id}"),
                seen: false,
                parts: Default::default(),
            },
            expected: true,
            told: None,
            told_gone: false,
        })
        .collect()
}

#[tokio::test]
async fn an_empty_listing_is_an_outage_until_another_comes_or_each_piece_is_confirmed_gone() {
    let (account, played) = account();
    let (all, known) = (ids(12), recorded(&ids(12)));
    assert!(account.confirm(&stock(&all), &known).await.is_ok());
    account.keep(stock(&all), &known, START, |_| 0);
    held(&played.exists).extend(all.clone());

    // They exist: one look convicts the listing, however often it is repeated.
    for _ in 0..3 {
        assert!(matches!(
            account.confirm(&stock(&[]), &known).await,
            Err(ListingError::Suspect(_))
        ));
        assert_eq!(played.looks(), ["k-00"]);
    }
    assert_eq!(account.stock().unwrap().resources.len(), 12);

    // They are gone: a few looks an interval, and none twice.
    held(&played.exists).clear();
    for (from, believed) in [(0, false), (5, false), (10, true)] {
        let verdict = account.confirm(&stock(&[]), &known).await;
        assert_eq!(verdict.is_ok(), believed);
        assert_eq!(played.looks(), all[from..(from + LOOKS).min(12)]);
    }
    // One that is listed again is not remembered as gone.
    held(&played.exists).insert("k-00".into());
    assert!(account.confirm(&stock(&all), &known).await.is_ok());
    assert!(account.confirm(&stock(&[]), &known).await.is_err());
    assert_eq!(played.looks(), ["k-00"]);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_not_gone() {
    let (account, played) = account();
    let known = recorded(&ids(3));
    *held(&played.down) = true;
    assert!(matches!(
        account.confirm(&stock(&[]), &known).await,
        Err(ListingError::Fault(..))
    ));
    *held(&played.down) = false;
    assert!(account.confirm(&stock(&[]), &known).await.is_ok());
    assert_eq!(played.looks().len(), 1 + 3);
}

#[test]
fn what_was_seen_outlives_new_settings_and_no_move() {
    let (former, played) = account();
    assert!(former.serves(&SecretString::from("one\n")));
    former.replace(&SecretString::from("two"));
    assert!(
        former.serves(&SecretString::from("two")) && !former.serves(&SecretString::from("one"))
    );
    former.keep(stock(&ids(2)), &[], START, |_| 0);
    let opened = Opened {
        provider: played,
        line: former.line.clone(),
    };
    assert!(former.moved(opened.clone()).stock().is_none());
    assert!(former.opened_with(&ProviderSettings::Exa));
    assert!(!former.opened_with(&ProviderSettings::Bankr));
    let anew = ToolAccount::new(
        ("search", "uid"),
        "exa",
        ProviderSettings::Bankr,
        opened,
        Some(&former),
    );
    assert_eq!(anew.stock().unwrap().resources.len(), 2);
}
