//! The interface as a page for people: written once at the start, from the same document that programs read.
//!
//! No script, nothing from elsewhere: one page and one style sheet, so that the content security policy can forbid the
//! rest.

use std::fmt::{self, Write as _};

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use serde_json::{Map, Value};

use super::tagged;
use crate::problem::Unchanged;

/// What the page may load: its style sheet, and the empty icon that keeps browsers from asking for one.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The style sheet.
const STYLE: &str = include_str!("docs.css");

/// The page, written.
pub struct Reference(web::Bytes);

impl Reference {
    /// Writes the page for an OpenAPI document.
    ///
    /// # Errors
    /// Never in practice: writing into memory does not fail.
    pub fn of(document: &Value) -> Result<Self, fmt::Error> {
        let mut page = String::with_capacity(64 << 10);
        write_page(&mut page, document)?;
        Ok(Self(page.into()))
    }
}

/// This interface as a page.
#[utoipa::path(
    operation_id = "showDocs",
    tag = "operations",
    responses((status = 200, description = "HTML without scripts", body = String, content_type = "text/html"), Unchanged)
)]
#[get("/docs")]
pub async fn show(reference: web::Data<Reference>) -> HttpResponse {
    let mut response = tagged("text/html; charset=utf-8", "no-cache", reference.0.clone());
    let policy = header::HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// The style sheet of that page.
#[utoipa::path(
    operation_id = "getDocsStyle",
    tag = "operations",
    responses((status = 200, description = "A style sheet", body = String, content_type = "text/css"), Unchanged)
)]
#[get("/docs/style.css")]
pub async fn show_style() -> HttpResponse {
    tagged("text/css; charset=utf-8", "no-cache", STYLE)
}

/// Text between tags or in a quoted attribute.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => formatter.write_str("&amp;"),
            '<' => formatter.write_str("&lt;"),
            '>' => formatter.write_str("&gt;"),
            '"' => formatter.write_str("&quot;"),
            '\'' => formatter.write_str("&#39;"),
            other => formatter.write_char(other),
        })
    }
}

/// A member that is text, escaped; empty where there is none.
fn text<'v>(value: &'v Value, pointer: &str) -> Escaped<'v> {
    Escaped(value.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
}

/// The members of an object; none where there is no such object.
fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The items of a list; none where there is no such list.
fn items<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn write_page(page: &mut String, document: &Value) -> fmt::Result {
    let (title, version) = (text(document, "/info/title"), text(document, "/info/version"));
    writeln!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} {version}</title>\n\
         <link rel=\"stylesheet\" href=\"/docs/style.css\">\n<link rel=\"icon\" href=\"data:,\">\n</head>\n<body>\n\
         <header>\n<h1>{title} <small>{version}</small></h1>\n<p>{}</p>\n\
         <p>For programs: <a href=\"/openapi.json\">/openapi.json</a></p>\n</header>",
        text(document, "/info/description")
    )?;
    page.push_str("<nav aria-label=\"Contents\">\n<ul>\n");
    for tag in items(document, "/tags") {
        writeln!(page, "<li><a href=\"#{0}\">{0}</a></li>", text(tag, "/name"))?;
    }
    page.push_str("<li><a href=\"#schemas\">schemas</a></li>\n</ul>\n</nav>\n<main>\n");
    for tag in items(document, "/tags") {
        let name = text(tag, "/name");
        writeln!(page, "<section id=\"{name}\">\n<h2>{name}</h2>\n<p>{}</p>", text(tag, "/description"))?;
        for (path, operations) in members(document, "/paths") {
            for (method, operation) in members(operations, "") {
                if items(operation, "/tags").any(|other| other.as_str() == Some(name.0)) {
                    write_operation(page, path, method, operation)?;
                }
            }
        }
        page.push_str("</section>\n");
    }
    page.push_str("<section id=\"schemas\">\n<h2>Schemas</h2>\n");
    for (name, schema) in members(document, "/components/schemas") {
        write_schema(page, name, schema)?;
    }
    page.push_str("</section>\n</main>\n</body>\n</html>\n");
    Ok(())
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) -> fmt::Result {
    let id = text(operation, "/operationId");
    writeln!(
        page,
        "<article class=\"operation\" id=\"{id}\">\n<h3><span class=\"method\">{}</span> <code>{}</code></h3>\n<p>{}</p>",
        Escaped(&method.to_ascii_uppercase()),
        Escaped(path),
        text(operation, "/summary"),
    )?;
    if items(operation, "/parameters").next().is_some() {
        page.push_str(
            "<table>\n<caption>Parameters</caption>\n<tr><th scope=\"col\">Name</th><th scope=\"col\">In</th>\
             <th scope=\"col\">What</th></tr>\n",
        );
        for parameter in items(operation, "/parameters") {
            let (name, place, what) =
                (text(parameter, "/name"), text(parameter, "/in"), text(parameter, "/description"));
            writeln!(page, "<tr><th scope=\"row\"><code>{name}</code></th><td>{place}</td><td>{what}</td></tr>")?;
        }
        page.push_str("</table>\n");
    }
    for (media_type, content) in members(operation, "/requestBody/content") {
        writeln!(page, "<p>Takes <code>{}</code>: {}</p>", Escaped(media_type), shape(content.get("schema")))?;
    }
    page.push_str(
        "<table>\n<caption>Answers</caption>\n<tr><th scope=\"col\">Status</th><th scope=\"col\">What</th>\
         <th scope=\"col\">Body</th></tr>\n",
    );
    for (status, response) in members(operation, "/responses") {
        let (status, what) = (Escaped(status), text(response, "/description"));
        write!(page, "<tr><th scope=\"row\">{status}</th><td>{what}</td><td>")?;
        for (media_type, content) in members(response, "/content") {
            write!(page, "{} <code>{}</code>", shape(content.get("schema")), Escaped(media_type))?;
        }
        page.push_str("</td></tr>\n");
    }
    page.push_str("</table>\n</article>\n");
    Ok(())
}

fn write_schema(page: &mut String, name: &str, schema: &Value) -> fmt::Result {
    let (name, what) = (Escaped(name), text(schema, "/description"));
    writeln!(
        page,
        "<article id=\"schema-{name}\">\n<h3>{name}</h3>\n<p>{what}</p>\n<table>\n<caption>Members</caption>\n\
         <tr><th scope=\"col\">Name</th><th scope=\"col\">Form</th><th scope=\"col\">What</th></tr>"
    )?;
    for (member, described) in members(schema, "/properties") {
        let required = items(schema, "/required").any(|required| required.as_str() == Some(member));
        let optional = if required { "" } else { ", optional" };
        let (form, what) = (shape(Some(described)), text(described, "/description"));
        let member = Escaped(member);
        writeln!(
            page,
            "<tr><th scope=\"row\"><code>{member}</code></th><td>{form}{optional}</td><td>{what}</td></tr>"
        )?;
    }
    page.push_str("</table>\n</article>\n");
    Ok(())
}

/// The form of a value in a few words, with a link where it has a name.
fn shape(schema: Option<&Value>) -> String {
    let Some(schema) = schema else { return String::new() };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", Escaped(name));
    }
    let alternatives: Vec<String> =
        ["/oneOf", "/anyOf"].iter().flat_map(|key| items(schema, key)).map(|item| shape(Some(item))).collect();
    if !alternatives.is_empty() {
        return alternatives.join(" or ");
    }
    match schema.get("type") {
        Some(Value::String(name)) if name == "array" => format!("list of {}", shape(schema.get("items"))),
        Some(Value::String(name)) => Escaped(name).to_string(),
        Some(Value::Array(names)) => {
            let names: Vec<String> =
                names.iter().filter_map(Value::as_str).map(|name| Escaped(name).to_string()).collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_schema_is_on_the_page_and_text_is_escaped() {
        let document = serde_json::json!({
            "info": {"title": "A<b>", "version": "1", "description": "\"&'"},
            "tags": [{"name": "things"}],
            "paths": {"/things/{id}": {"get": {
                "operationId": "getThing", "tags": ["things"], "summary": "One <script>",
                "parameters": [{"name": "id", "in": "path", "description": "which"}],
                "responses": {"200": {"description": "it", "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}}}},
            "components": {"schemas": {"Thing": {"required": ["id"], "properties": {
                "id": {"type": "string"},
                "more": {"type": ["integer", "null"]},
                "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}}}}}
        });
        let page = Reference::of(&document).unwrap().0;
        let page = str::from_utf8(&page).unwrap();
        for expected in [
            "<h1>A&lt;b&gt; <small>1</small></h1>",
            "&quot;&amp;&#39;",
            "<article class=\"operation\" id=\"getThing\">",
            "<span class=\"method\">GET</span> <code>/things/{id}</code>",
            "One &lt;script&gt;",
            "<a href=\"#schema-Thing\">Thing</a> <code>application/json</code>",
            "<td>string</td>",
            "<td>integer or null, optional</td>",
            "<td>list of <a href=\"#schema-Thing\">Thing</a>, optional</td>",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        assert!(!page.contains("<script"));
    }
}
