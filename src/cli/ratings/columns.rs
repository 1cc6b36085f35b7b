//! Which columns of a file are the user, the item and the rating.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::cli::ratings::Ids;

/// Flags that say which columns are read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct ColumnArgs {
    /// Column of the user: its name in the header, or its number from 1 [default: user, userId and the like; the first].
    #[arg(long, value_name = "COLUMN")]
    user_column: Option<Column>,

    /// Column of the item: its name, or its number from 1 [default: item, itemId, movieId and the like; the second].
    #[arg(long, value_name = "COLUMN")]
    item_column: Option<Column>,

    /// Column of the rating: its name, or its number from 1 [default: rating, stars, score; the third].
    #[arg(long, value_name = "COLUMN")]
    rating_column: Option<Column>,
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// The number of it, from 0.
    Number(usize),
    /// Its name in the header.
    Name(String),
}

impl FromStr for Column {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
            Some(index) => Column::Number(index),
            None => Column::Name(text.into()),
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Column::Number(index) => write!(f, "{}", index + 1),
            Column::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// A user or an item.
#[derive(Clone, Debug)]
pub(super) enum Id {
    Number(u64),
    Name(String),
}

/// What is read of a line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) user: Id,
    pub(super) item: Id,
    pub(super) rating: f32,
}

/// What a column can be of a rating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    User,
    Item,
    Rating,
}

const ROLES: [Role; 3] = [Role::User, Role::Item, Role::Rating];

impl Role {
    /// The name that messages and flags have.
    fn name(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Item => "item",
            Role::Rating => "rating",
        }
    }

    /// Names of columns that are taken for it.
    fn usual_names(self) -> &'static [&'static str] {
        match self {
            Role::User => &["user", "userId", "user_id", "userid", "uid", "UserID"],
            Role::Item => &["item", "movieId", "movie_id", "itemId", "item_id", "iid", "MovieID"],
            Role::Rating => &["rating", "Rating", "stars", "score"],
        }
    }
}

/// Reads the user, the item and the rating of a line.
#[derive(Clone, Debug)]
pub(super) struct RowReader(Arc<Columns>);

#[derive(Debug)]
struct Columns {
    /// Those that were asked for, in the order of the roles.
    asked: [Option<Column>; 3],
    ids: Ids,
}

impl RowReader {
    pub(super) fn new(args: &ColumnArgs, ids: Ids) -> Self {
        let asked = [&args.user_column, &args.item_column, &args.rating_column].map(Clone::clone);
        RowReader(Arc::new(Columns { asked, ids }))
    }
}

impl Columns {
    /// What the column with this number is, and with this name, where there are names.
    fn role(&self, number: usize, name: Option<&str>) -> Option<Role> {
        ROLES.into_iter().find(|role| match (&self.asked[*role as usize], name) {
            (Some(Column::Number(asked)), _) => *asked == number,
            (Some(Column::Name(asked)), name) => name == Some(asked),
            (None, Some(name)) => role.usual_names().contains(&name),
            (None, None) => *role as usize == number,
        })
    }

    /// What to say of a line without a column.
    fn missing<E: Error>(&self, role: Role, has_names: bool) -> E {
        let name = role.name();
        match &self.asked[role as usize] {
            None if has_names => {
                E::custom(format!("field {name:?} is missing (--{name}-column says which it is)"))
            }
            None => E::custom(format!("field {name:?} is missing")),
            Some(Column::Name(asked)) if !has_names => E::custom(format!(
                "--{name}-column {asked:?}: there is no header with names, expected a number"
            )),
            Some(asked) => E::custom(format!("field {asked} is missing, which --{name}-column asks for")),
        }
    }
}

/// What has been read of a line.
#[derive(Default)]
struct Found {
    user: Option<Id>,
    item: Option<Id>,
    rating: Option<f32>,
}

impl Found {
    fn has(&self, role: Role) -> bool {
        match role {
            Role::User => self.user.is_some(),
            Role::Item => self.item.is_some(),
            Role::Rating => self.rating.is_some(),
        }
    }

    fn into_row<E: Error>(self, columns: &Columns, has_names: bool) -> Result<Row, E> {
        let missing = |role| columns.missing(role, has_names);
        Ok(Row {
            user: self.user.ok_or_else(|| missing(Role::User))?,
            item: self.item.ok_or_else(|| missing(Role::Item))?,
            rating: self.rating.ok_or_else(|| missing(Role::Rating))?,
        })
    }
}

impl<'de> DeserializeSeed<'de> for RowReader {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, fields: D) -> Result<Row, D::Error> {
        fields.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowReader {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user, an item and a rating")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Row, A::Error> {
        let (columns, mut found, mut number) = (&*self.0, Found::default(), 0);
        while let Some(role) = fields.next_key_seed(RoleOfName { columns, number })? {
            number += 1;
            match role {
                Some(role) if found.has(role) => {
                    let name = role.name();
                    return Err(A::Error::custom(format!(
                        "several columns are the {name} (--{name}-column says which it is)"
                    )));
                }
                Some(role) => fields.next_value_seed(Field { role, ids: columns.ids, found: &mut found })?,
                None => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        found.into_row(columns, true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Row, A::Error> {
        let (columns, mut found) = (&*self.0, Found::default());
        for number in 0.. {
            let read = match columns.role(number, None) {
                Some(role) => {
                    fields.next_element_seed(Field { role, ids: columns.ids, found: &mut found })?
                }
                None => fields.next_element::<IgnoredAny>()?.map(drop),
            };
            if read.is_none() {
                break;
            }
        }
        found.into_row(columns, false)
    }
}

/// What the column is whose name comes.
struct RoleOfName<'a> {
    columns: &'a Columns,
    number: usize,
}

impl<'de> DeserializeSeed<'de> for RoleOfName<'_> {
    type Value = Option<Role>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<Role>, D::Error> {
        name.deserialize_identifier(self)
    }
}

impl Visitor<'_> for RoleOfName<'_> {
    type Value = Option<Role>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<Role>, E> {
        Ok(self.columns.role(self.number, Some(name)))
    }
}

/// Reads one field into its place.
struct Field<'a> {
    role: Role,
    ids: Ids,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, field: D) -> Result<(), D::Error> {
        match self.role {
            Role::User => self.found.user = Some(id(self.ids, field)?),
            Role::Item => self.found.item = Some(id(self.ids, field)?),
            Role::Rating => self.found.rating = Some(finite(field)?),
        }
        Ok(())
    }
}

fn id<'de, D: Deserializer<'de>>(ids: Ids, field: D) -> Result<Id, D::Error> {
    if ids == Ids::Numbers {
        let number = u64::deserialize(field);
        return number.map(Id::Number).map_err(|_| {
            D::Error::custom("expected a whole number from 0 to 2^64 - 1 (--ids names is for names)")
        });
    }
    let name = String::deserialize(field)?;
    if name.is_empty() {
        return Err(D::Error::custom("expected a name"));
    }
    Ok(Id::Name(name))
}

/// A number that can be trained on.
fn finite<'de, D: Deserializer<'de>>(field: D) -> Result<f32, D::Error> {
    let rating = f32::deserialize(field)?;
    if rating.is_finite() {
        return Ok(rating);
    }
    Err(D::Error::custom(format!("rating: found {rating}, expected a finite number")))
}
