//! Questions to image registries, each in a task of its own: a registry may be silent, and no pass waits for one.
//!
//! What holds: at most one question is open for a template; whoever asks again in the same words gets its answer, once;
//! other words end it. Of a namespace only [`OF_A_NAMESPACE`] are asked at once, and [`AT_ONCE`] in all: a namespace whose
//! registries are silent keeps itself waiting and nobody else. Deliberately absent: when to ask again.

use super::held;
use super::uid::Uid;
use crate::model::Done;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// Questions of one namespace that are asked at once.
const OF_A_NAMESPACE: usize = 4;

/// Questions that are asked at once.
const AT_ONCE: usize = 64;

/// Questions that are open, by template, and answers that nobody has taken yet.
#[derive(Debug)]
pub struct Inquiries {
    open: Mutex<HashMap<Uid, Inquiry>>,
    of_namespaces: Mutex<HashMap<String, Weak<Semaphore>>>,
    of_all: Semaphore,
}

impl Default for Inquiries {
    fn default() -> Inquiries {
        Inquiries {
            open: Mutex::default(),
            of_namespaces: Mutex::default(),
            of_all: Semaphore::new(AT_ONCE),
        }
    }
}

#[derive(Debug)]
struct Inquiry {
    about: String,
    answer: Option<Done<String>>,
    task: Option<AbortHandle>,
}

impl Inquiries {
    /// The answer to a question, where it is there. Else it is asked, unless it is already, and `told` is called when the
    /// answer can be taken. `about` names what is asked; `question` may answer that nobody wants to know any more.
    pub fn answer(
        self: &Arc<Self>,
        namespace: &str,
        uid: &Uid,
        about: &str,
        question: impl Future<Output = Option<Done<String>>> + Send + 'static,
        told: impl FnOnce() + Send + 'static,
    ) -> Option<Done<String>> {
        let mut open = held(&self.open);
        if let Some(known) = open.get_mut(uid).filter(|known| known.about == about) {
            let answer = known.answer.take()?;
            open.remove(uid);
            return Some(answer);
        }
        let (all, own) = (Arc::clone(self), self.of_namespace(namespace));
        let named = (uid.clone(), about.to_owned());
        let task = tokio::spawn(async move {
            // A namespace's turn comes before that of all, so that it has only so many in the line of all.
            let _own = own.acquire().await;
            let _all = all.of_all.acquire().await;
            let answer = question.await;
            all.put(&named.0, &named.1, answer);
            told();
        });
        let inquiry = Inquiry {
            about: about.to_owned(),
            answer: None,
            task: Some(task.abort_handle()),
        };
        let before = open.insert(uid.clone(), inquiry);
        if let Some(task) = before.and_then(|before| before.task) {
            task.abort();
        }
        None
    }

    /// Nobody wants to know any more: the template is gone.
    pub fn end(&self, uid: &Uid) {
        let inquiry = held(&self.open).remove(uid);
        if let Some(task) = inquiry.and_then(|inquiry| inquiry.task) {
            task.abort();
        }
    }

    fn put(&self, uid: &Uid, about: &str, answer: Option<Done<String>>) {
        let mut open = held(&self.open);
        let Some(known) = open.get_mut(uid).filter(|known| known.about == about) else {
            return;
        };
        known.answer = answer;
        if known.answer.is_none() {
            open.remove(uid);
        }
    }

    fn of_namespace(&self, namespace: &str) -> Arc<Semaphore> {
        let mut all = held(&self.of_namespaces);
        all.retain(|_, own| own.strong_count() > 0);
        if let Some(own) = all.get(namespace).and_then(Weak::upgrade) {
            return own;
        }
        let own = Arc::new(Semaphore::new(OF_A_NAMESPACE));
        all.insert(namespace.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    fn digest(text: &str) -> Option<Done<String>> {
        Some(Ok(text.to_owned()))
    }

    /// Asks, waits to be told, and takes the answer.
    async fn answered(all: &Arc<Inquiries>, namespace: &str, uid: &str, text: &str) -> String {
        let (told, answer) = (Arc::new(Notify::new()), digest(text));
        let tell = Arc::clone(&told);
        let question = async move { answer };
        let first = all.answer(namespace, &uid.into(), "1", question, move || {
            tell.notify_one()
        });
        assert_eq!(first, None);
        told.notified().await;
        let taken = all.answer(namespace, &uid.into(), "1", async { None }, || {});
        taken.unwrap().unwrap()
    }

    #[tokio::test]
    async fn silence_that_one_namespace_asks_for_keeps_nobody_else_waiting() {
        let (all, asked) = (
            Arc::new(Inquiries::default()),
            Arc::new(AtomicUsize::new(0)),
        );
        for n in 0..200 {
            let asked = Arc::clone(&asked);
            let silence = async move {
                asked.fetch_add(1, Ordering::Relaxed);
                pending().await
            };
            let uid = format!("loud-{n}").as_str().into();
            assert_eq!(all.answer("loud", &uid, "1", silence, || {}), None);
        }
        assert_eq!(
            answered(&all, "neighbour", "one", "sha256:a").await,
            "sha256:a"
        );
        assert_eq!(asked.load(Ordering::Relaxed), OF_A_NAMESPACE);
        // Its own wait, but not for what it does not ask any more.
        for n in 0..200 {
            let uid = format!("loud-{n}").as_str().into();
            let other = async { digest("sha256:b") };
            assert_eq!(all.answer("loud", &uid, "2", other, || {}), None);
        }
        assert_eq!(answered(&all, "loud", "more", "sha256:c").await, "sha256:c");
    }

    #[tokio::test]
    async fn an_answer_is_taken_once_and_only_for_what_was_asked() {
        let all = Arc::new(Inquiries::default());
        let asked = Arc::new(AtomicUsize::new(0));
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let ask = |about: &str| {
            let (asked, told) = (Arc::clone(&asked), told.clone());
            let question = async move {
                let times = asked.fetch_add(1, Ordering::Relaxed) + 1;
                digest(&times.to_string())
            };
            let told = move || {
                let _ = told.send(());
            };
            all.answer("a", &"uid".into(), about, question, told)
        };
        assert_eq!(ask("1"), None);
        // Asked already.
        assert_eq!(ask("1"), None);
        hears.recv().await.unwrap();
        assert_eq!(ask("1"), digest("1"));
        assert_eq!(ask("1"), None);
        hears.recv().await.unwrap();
        // The answer to another question is none.
        assert_eq!(ask("2"), None);
        hears.recv().await.unwrap();
        assert_eq!(ask("2"), digest("3"));
        assert_eq!(held(&all.open).len(), 0);
    }

    #[tokio::test]
    async fn the_question_of_a_template_that_is_gone_ends() {
        let all = Arc::new(Inquiries::default());
        let uid = Uid::from("uid");
        assert_eq!(all.answer("a", &uid, "1", pending(), || {}), None);
        all.end(&uid);
        assert_eq!(held(&all.open).len(), 0);
    }

    #[tokio::test]
    async fn what_nobody_wants_to_know_is_not_kept() {
        let all = Arc::new(Inquiries::default());
        let told = Arc::new(Notify::new());
        let tell = Arc::clone(&told);
        let nothing = async { None };
        assert_eq!(
            all.answer("a", &"uid".into(), "1", nothing, move || tell.notify_one()),
            None
        );
        told.notified().await;
        assert_eq!(held(&all.open).len(), 0);
    }
}
