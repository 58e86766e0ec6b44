//! XEP-0004: Data Forms. Forms as extensions show and read them.

use jackdaw_jid::BareJid;
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

/// Why a form is sent (XEP-0004 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormType {
    /// To be filled in.
    Form,
    /// What was found.
    Result,
}

/// Types of the fields that our forms have (XEP-0004 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Several JIDs.
    JidMulti,
    /// One JID.
    JidSingle,
    /// One of several options.
    ListSingle,
    /// Several lines.
    TextMulti,
    /// A line nobody else should see.
    TextPrivate,
    /// One line.
    TextSingle,
}

impl FieldType {
    fn name(self) -> &'static str {
        match self {
            FieldType::JidMulti => "jid-multi",
            FieldType::JidSingle => "jid-single",
            FieldType::ListSingle => "list-single",
            FieldType::TextMulti => "text-multi",
            FieldType::TextPrivate => "text-private",
            FieldType::TextSingle => "text-single",
        }
    }
}

/// A form that the server sends.
#[derive(Clone, Debug)]
pub struct Form {
    element: Element,
}

impl Form {
    /// A form with its `FORM_TYPE` (XEP-0068).
    pub fn new(kind: FormType, form_type: &str) -> Form {
        let kind = match kind {
            FormType::Form => "form",
            FormType::Result => "result",
        };
        let mut element = Element::new(ns::DATA_FORMS, "x").with_attr("type", kind);
        let hidden = data("field").with_attr("var", "FORM_TYPE").with_attr("type", "hidden");
        element.push(hidden.with_child(value(form_type)));
        Form { element }
    }

    /// What the form is called, and what to do with it. Before the fields, where people expect it.
    #[must_use]
    pub fn title(mut self, title: &str, instructions: &str) -> Form {
        let mut element = Element::new(ns::DATA_FORMS, "x");
        for (_, name, text) in self.element.attrs() {
            element.set_attr(name, text);
        }
        element.push(data("title").with_text(title));
        element.push(data("instructions").with_text(instructions));
        self.element = element.with_children(self.element.children().cloned());
        self
    }

    /// A field to be filled in.
    #[must_use]
    pub fn field(mut self, kind: FieldType, name: &str, label: &str) -> Form {
        self.element.push(blank(kind, name, label));
        self
    }

    /// A field that has to be filled in.
    #[must_use]
    pub fn required(mut self, kind: FieldType, name: &str, label: &str) -> Form {
        self.element.push(blank(kind, name, label).with_child(data("required")));
        self
    }

    /// A field with options to choose from: label and value of each.
    #[must_use]
    pub fn options(mut self, name: &str, label: &str, options: &[(&str, &str)]) -> Form {
        let option = |(label, text): &(&str, &str)| {
            data("option").with_attr("label", *label).with_child(value(text))
        };
        let field = blank(FieldType::ListSingle, name, label);
        self.element.push(field.with_children(options.iter().map(option)));
        self
    }

    /// A field with its values.
    #[must_use]
    pub fn values<T: AsRef<str>>(mut self, name: &str, values: &[T]) -> Form {
        let field = data("field").with_attr("var", name);
        self.element.push(field.with_children(values.iter().map(|text| value(text.as_ref()))));
        self
    }

    /// The `<x/>` element.
    pub fn element(self) -> Element {
        self.element
    }
}

fn data(name: &str) -> Element {
    Element::new(ns::DATA_FORMS, name)
}

fn value(text: &str) -> Element {
    data("value").with_text(text)
}

fn blank(kind: FieldType, name: &str, label: &str) -> Element {
    data("field").with_attr("type", kind.name()).with_attr("var", name).with_attr("label", label)
}

/// A form that a client filled in.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    element: &'a Element,
}

impl<'a> Submission<'a> {
    /// The form in this element; it must be a submission of this `FORM_TYPE`, where it names one
    /// (clients forget it, XEP-0068 §3).
    pub fn find(parent: &'a Element, form_type: &str) -> Option<Submission<'a>> {
        let element = parent.child(ns::DATA_FORMS, "x")?;
        let form = Submission { element };
        let is_submitted = element.attr("type") == Some("submit");
        let is_ours = form.value("FORM_TYPE").is_none_or(|found| found == form_type);
        (is_submitted && is_ours).then_some(form)
    }

    /// The values of a field, none if it is absent.
    pub fn values(&self, name: &str) -> Vec<String> {
        let is_field = |e: &&Element| e.is(ns::DATA_FORMS, "field") && e.attr("var") == Some(name);
        let field = self.element.children().find(is_field);
        let values = field.into_iter().flat_map(Element::children);
        values.filter(|e| e.is(ns::DATA_FORMS, "value")).map(Element::text).collect()
    }

    /// The first value of a field, unless it is empty.
    pub fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next().filter(|text| !text.is_empty())
    }

    /// An account's JID; a resource is ignored (XEP-0133 §4.1, the note on end users).
    pub fn account(&self, name: &str) -> Result<BareJid, StanzaError> {
        let text = self.value(name).ok_or_else(StanzaError::bad_request)?;
        account(&text)
    }

    /// Several accounts' JIDs, at least one and at most `limit`.
    pub fn accounts(&self, name: &str, limit: usize) -> Result<Vec<BareJid>, StanzaError> {
        let texts = self.values(name);
        if texts.is_empty() || texts.len() > limit {
            return Err(StanzaError::not_acceptable());
        }
        texts.iter().map(|text| account(text)).collect()
    }
}

fn account(text: &str) -> Result<BareJid, StanzaError> {
    let jid = jackdaw_jid::Jid::parse(text.trim()).map_err(|_| StanzaError::jid_malformed())?;
    match jid.local() {
        Some(_) => Ok(jid.to_bare()),
        None => Err(StanzaError::not_acceptable().text("that is no account")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackdaw_xml::{Limits, Scope};

    fn parent(x: &str) -> Element {
        let xml = format!("<command xmlns='urn:test'>{x}</command>");
        Element::parse(xml.as_bytes(), &Scope::client(), &Limits::trusted()).expect("XML")
    }

    #[test]
    fn a_form_is_written_as_xep_0004_says() {
        let form = Form::new(FormType::Form, "urn:t")
            .required(FieldType::JidSingle, "accountjid", "Who")
            .options("delay", "When", &[("now", "0")])
            .title("T", "Do.");
        assert_eq!(
            form.element().to_xml(""),
            "<x xmlns='jabber:x:data' type='form'><title>T</title>\
             <instructions>Do.</instructions>\
             <field var='FORM_TYPE' type='hidden'><value>urn:t</value></field>\
             <field type='jid-single' var='accountjid' label='Who'><required/></field>\
             <field type='list-single' var='delay' label='When'>\
             <option label='now'><value>0</value></option></field></x>"
        );
    }

    #[test]
    fn a_submission_of_another_type_is_not_taken() {
        let of = |form_type: &str| {
            parent(&format!(
                "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                 <value>{form_type}</value></field><field var='a'><value>b</value></field></x>"
            ))
        };
        assert!(Submission::find(&of("urn:u"), "urn:t").is_none());
        let own = of("urn:t");
        let form = Submission::find(&own, "urn:t").expect("its own");
        assert_eq!(form.value("a").as_deref(), Some("b"));
        assert_eq!(form.value("c"), None);
    }

    #[test]
    fn accounts_have_a_localpart_and_lose_their_resource() {
        let parent = parent(
            "<x xmlns='jabber:x:data' type='submit'><field var='jids'>\
             <value>Juliet@capulet.lit/balcony</value></field>\
             <field var='host'><value>capulet.lit</value></field></x>",
        );
        let form = Submission::find(&parent, "urn:t").expect("no type is any type");
        let jids = form.accounts("jids", 1).expect("one account");
        assert_eq!(jids.first().map(BareJid::as_str), Some("juliet@capulet.lit"));
        assert!(form.account("host").is_err());
        assert!(form.accounts("jids", 0).is_err(), "more than the limit");
    }
}
