//! Relay connections: pages of things, each with a cursor.

use async_graphql::SimpleObject;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

#[derive(Debug, SimpleObject)]
pub(crate) struct PageInfo {
    end_cursor: Option<String>,
    has_next_page: bool,
    has_previous_page: bool,
    start_cursor: Option<String>,
}

/// Which part of a list is asked for.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    pub after: Option<String>,
    pub before: Option<String>,
    pub first: Option<i32>,
    pub last: Option<i32>,
}

/// A part of a list: (cursor, item), and whether there is more on either side.
pub(crate) struct Page<T> {
    pub items: Vec<(String, T)>,
    more_after: bool,
    more_before: bool,
}

/// Where an item stands in a list's order. It is comparable, so a cursor stays good when its item is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Number(i64),
    Text(String, i64),
}

impl Rank {
    fn cursor(&self) -> String {
        let plain = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text, number) => format!("{number}:{text}"),
        };
        URL_SAFE_NO_PAD.encode(plain)
    }

    fn read(cursor: &str) -> Option<Self> {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        match plain.split_once(':') {
            Some((number, text)) => Some(Self::Text(text.to_owned(), number.parse().ok()?)),
            None => Some(Self::Number(plain.parse().ok()?)),
        }
    }
}

impl<T> Page<T> {
    /// Cuts a page out of a list that is sorted by rank.
    pub(crate) fn cut(ranked: Vec<(Rank, T)>, paging: &Paging, size: Option<usize>) -> Self {
        let after = paging.after.as_deref().and_then(Rank::read);
        let before = paging.before.as_deref().and_then(Rank::read);
        let total = ranked.len();
        let mut items: Vec<(Rank, T)> = ranked.into_iter().collect();
        if let Some(before) = before {
            items.truncate(items.partition_point(|(rank, _)| *rank < before));
        }
        let skipped = after.map_or(0, |after| items.partition_point(|(rank, _)| *rank <= after));
        let mut items = items.split_off(skipped);
        let mut more_before = skipped > 0;
        let mut more_after = skipped + items.len() < total;
        let first = paging
            .first
            .map(|first| usize::try_from(first).unwrap_or(0))
            .or(match paging.last {
                Some(_) => None,
                None => size,
            });
        if let Some(first) = first
            && first < items.len()
        {
            items.truncate(first);
            more_after = true;
        }
        let last = paging.last.map(|last| usize::try_from(last).unwrap_or(0));
        if let Some(last) = last
            && last < items.len()
        {
            items = items.split_off(items.len() - last);
            more_before = true;
        }
        let items = items
            .into_iter()
            .map(|(rank, item)| (rank.cursor(), item))
            .collect();
        Self {
            items,
            more_after,
            more_before,
        }
    }

    /// A page of a short list, in the order it has.
    pub(crate) fn of(items: impl IntoIterator<Item = T>, paging: &Paging) -> Self {
        let ranked = items.into_iter().enumerate();
        let ranked = ranked
            .map(|(at, item)| (Rank::Number(at as i64), item))
            .collect();
        Self::cut(ranked, paging, None)
    }

    pub(crate) fn map<U>(self, change: impl Fn(T) -> U) -> Page<U> {
        let items = self
            .items
            .into_iter()
            .map(|(cursor, item)| (cursor, change(item)));
        Page {
            items: items.collect(),
            more_after: self.more_after,
            more_before: self.more_before,
        }
    }

    pub(crate) fn info(&self) -> PageInfo {
        PageInfo {
            end_cursor: self.items.last().map(|(cursor, _)| cursor.clone()),
            has_next_page: self.more_after,
            has_previous_page: self.more_before,
            start_cursor: self.items.first().map(|(cursor, _)| cursor.clone()),
        }
    }
}

/// Defines a connection type and its edge, by Railway's names.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty) => {
        #[derive(async_graphql::SimpleObject)]
        pub(crate) struct $edge {
            cursor: String,
            node: $node,
        }

        #[derive(async_graphql::SimpleObject)]
        pub(crate) struct $connection {
            edges: Vec<$edge>,
            page_info: $crate::railway::schema::connection::PageInfo,
        }

        impl From<$crate::railway::schema::connection::Page<$node>> for $connection {
            fn from(page: $crate::railway::schema::connection::Page<$node>) -> Self {
                let page_info = page.info();
                let edges = page
                    .items
                    .into_iter()
                    .map(|(cursor, node)| $edge { cursor, node });
                Self {
                    edges: edges.collect(),
                    page_info,
                }
            }
        }
    };
}
pub(crate) use connection;
