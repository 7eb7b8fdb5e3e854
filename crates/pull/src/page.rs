//! A page: its items, and where the next one is. Pure.

use reqwest::Url;
use serde_json::Value;

use crate::fetch::Trouble;
use crate::item::{Pointer, scalar};

/// The largest whole number that a JSON reader keeps to the last digit where it does not fit 64 bits.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// The longest cursor, in bytes.
const MAX_CURSOR_BYTES: usize = 8_192;

/// Where the next page's cursor stands.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// In the page.
    Pointer(Pointer),
    /// In the last item that has it.
    LastItem(Pointer),
    /// The header `Link` has its URL.
    Link,
    /// There is one page, read anew each time.
    None,
}

/// Where things stand in a page.
#[derive(Debug, Clone)]
pub(crate) struct Paging {
    pub(crate) items: Pointer,
    pub(crate) next: Next,
    /// Says whether another page follows, where the provider says it.
    pub(crate) more: Option<Pointer>,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// The cursor after it; `None` where it does not say, then the cursor stays.
    pub(crate) next: Option<String>,
    /// Whether another page follows, as far as the provider says it.
    pub(crate) more: Option<bool>,
}

impl Paging {
    /// Reads an answer to a request for `url`.
    pub(crate) fn read(&self, body: &[u8], links: &[String], url: &Url) -> Result<Page, Trouble> {
        let mut answer: Value = serde_json::from_slice(body).map_err(|error| Trouble::NotJson(error.to_string()))?;
        let next = match &self.next {
            Next::Pointer(pointer) => pointer.of(&answer).map(|found| cursor(pointer, found)).transpose()?,
            Next::LastItem(_) | Next::None => None,
            Next::Link => links.iter().find_map(|link| next_link(link)).map(|link| followed(link, url)).transpose()?,
        };
        let more = self.more.as_ref().and_then(|pointer| pointer.of(&answer)).and_then(Value::as_bool);
        let shape = || Trouble::Shape(format!("there is no list at {:?}", self.items.to_string()));
        let items = answer.pointer_mut(&self.items.to_string()).ok_or_else(shape)?.take();
        let Value::Array(items) = items else { return Err(shape()) };
        let next = match &self.next {
            Next::LastItem(pointer) => last(pointer, &items)?,
            _ => next,
        };
        Ok(Page { items, next: next.filter(|next| !next.is_empty()), more })
    }
}

fn last(pointer: &Pointer, items: &[Value]) -> Result<Option<String>, Trouble> {
    let found = items.iter().rev().find_map(|item| pointer.of(item));
    if found.is_none() && !items.is_empty() {
        return Err(Trouble::Shape(format!("none of the {} items has a cursor at {:?}", items.len(), pointer.to_string())));
    }
    found.map(|found| cursor(pointer, found)).transpose()
}

/// A cursor as text, exactly.
fn cursor(pointer: &Pointer, found: &Value) -> Result<String, Trouble> {
    let exact = found.as_f64().is_none_or(|number| found.is_i64() || found.is_u64() || number.abs() < EXACT);
    let text = scalar(found).filter(|text| exact && text.len() <= MAX_CURSOR_BYTES);
    text.ok_or_else(|| {
        Trouble::Shape(format!("the cursor at {:?} is no text or number of up to {MAX_CURSOR_BYTES} bytes", pointer.to_string()))
    })
}

/// The URL that a `Link` header calls `next`.
fn next_link(header: &str) -> Option<&str> {
    let is_next = |parameters: &str| {
        let relations = parameters.split(';').filter_map(|parameter| parameter.trim_matches([' ', ',']).strip_prefix("rel="));
        relations.flat_map(|relation| relation.trim_matches('"').split_whitespace()).any(|relation| relation == "next")
    };
    let mut links = header.split('<').skip(1).filter_map(|link| link.split_once('>'));
    links.find(|(_, parameters)| is_next(parameters)).map(|(url, _)| url)
}

/// A link, from the page it stands in, to the same server: no other is told the headers.
fn followed(link: &str, url: &Url) -> Result<String, Trouble> {
    let next = url.join(link).map_err(|error| Trouble::Shape(format!("the link to the next page is no URL: {error}")))?;
    if next.origin() != url.origin() {
        let (there, here) = (next.origin().ascii_serialization(), url.origin().ascii_serialization());
        return Err(Trouble::Shape(format!("the next page is said to be at {there}, which is not {here}: it is not followed")));
    }
    Ok(next.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(next: Next, more: Option<&str>, body: &Value, links: &[&str]) -> Result<Page, Trouble> {
        let pointer = |text: &str| Pointer::try_from(text.to_owned()).unwrap();
        let paging = Paging { items: pointer("/data"), next, more: more.map(pointer) };
        let links: Vec<String> = links.iter().map(|link| (*link).to_owned()).collect();
        paging.read(&serde_json::to_vec(body).unwrap(), &links, &Url::parse("https://a.example/v1/list?page=1").unwrap())
    }

    fn pointer(text: &str) -> Pointer {
        Pointer::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn the_next_cursor_stands_in_the_page_or_its_last_item_or_a_link() {
        let body = json!({"data": [{"id": 7}, {"id": 8}, {}], "meta": {"next": "n 1", "none": null, "big": 1e20, "more": true}});
        let next = |at| read(Next::Pointer(pointer(at)), Some("/meta/more"), &body, &[]).map(|page| (page.next, page.more));
        assert_eq!(next("/meta/next").unwrap(), (Some("n 1".to_owned()), Some(true)));
        assert_eq!(next("/meta/none").unwrap().0, None);
        assert!(matches!(next("/meta/big"), Err(Trouble::Shape(_))), "digits would be lost");
        assert_eq!(read(Next::LastItem(pointer("/id")), None, &body, &[]).unwrap().next.as_deref(), Some("8"));
        assert!(matches!(read(Next::LastItem(pointer("/at")), None, &body, &[]), Err(Trouble::Shape(_))));
        for (links, found) in [
            (&["<https://a.example/x?a=1,2>; rel=\"prev\", </y?b=2>; title=\"z\"; rel=\"last next\""][..], Some("https://a.example/y?b=2")),
            (&["</x>;rel=prev,</z>;rel=next"], Some("https://a.example/z")),
            (&["</x>; rel=\"prev\"", "<?page=2>; rel=\"next\""], Some("https://a.example/v1/list?page=2")),
            (&["</x>; rel=\"nextish\""], None),
            (&["no link"], None),
        ] {
            assert_eq!(read(Next::Link, None, &body, links).unwrap().next.as_deref(), found, "{links:?}");
        }
        for link in ["<https://b.example/>; rel=next", "<http://a.example/>; rel=next", "<//b.example/>; rel=next"] {
            assert!(matches!(read(Next::Link, None, &body, &[link]), Err(Trouble::Shape(_))), "{link} would be told the headers");
        }
    }

    #[test]
    fn a_page_without_its_list_is_no_page() {
        for body in [json!({"error": "sorry"}), json!({"data": {}}), json!([]), json!(null)] {
            assert!(matches!(read(Next::None, None, &body, &[]), Err(Trouble::Shape(_))), "{body}");
        }
        let paging = Paging { items: pointer(""), next: Next::None, more: None };
        let url = Url::parse("https://a.example").unwrap();
        assert_eq!(paging.read(b"[1]", &[], &url).unwrap().items.len(), 1);
        assert!(matches!(paging.read(b"[1", &[], &url), Err(Trouble::NotJson(_))));
    }
}
