//! Who may do what: one pure decision, made for every request to the control
//! plane.

use picloud_shared::access::{AppRole, Digest, Scope, Token};
use picloud_shared::{AppSlug, InstanceRole, User, UserId};

/// What an operation of the control plane needs. The API's document names it
/// for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// Nothing.
    Public,
    /// To be known, by whatever credential.
    Any,
    /// To be a user, by more than a token for one app.
    User,
    /// To see an app.
    Read,
    /// To deploy an app, run it and change its data.
    Deploy,
    /// To own an app.
    Admin,
    /// To be an admin of the instance.
    Instance,
}

const ONE_APP: &str = "this token is for one app only";

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever has the admin's token, or works on the machine in `picloud dev`.
    Operator,
    User {
        user: User,
        by: Credential,
    },
}

/// How a user has proved to be one.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A login, by its number and digest.
    Session(i64, Digest),
    Token(Token),
}

/// The app that is asked about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The operation is about no app.
    None,
    /// An app, and what the caller is to it.
    App(&'a AppSlug, Option<AppRole>),
    /// A name that no app has, in an operation that makes one.
    NewApp,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// The caller may see the thing, but not do this. Why.
    Forbidden(&'static str),
    /// For this caller there is no such thing.
    Hidden,
}

impl Caller {
    /// The user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Operator => None,
            Self::User { user, .. } => Some(user),
        }
    }

    /// Whose an app becomes that the caller makes.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        self.user().map(|user| user.id)
    }

    /// Whether everybody's apps are the caller's to see.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.may(Need::Instance, false, Subject::None) == Verdict::Allowed
            || matches!(self, Self::User { user, by: Credential::Token(token) }
                if user.role == InstanceRole::Admin && token.app.is_none())
    }

    /// Whether the caller may do what needs this; `changes` says whether the
    /// operation changes something.
    #[must_use]
    pub fn may(&self, need: Need, changes: bool, subject: Subject<'_>) -> Verdict {
        let Self::User { user, by } = self else { return Verdict::Allowed };
        let (scope, only_app) = match by {
            Credential::Session(..) => (Scope::Admin, None),
            Credential::Token(token) => (token.scope, token.app.as_ref()),
        };
        if let (Some(only), Subject::App(app, _)) = (only_app, subject)
            && only != app
        {
            return Verdict::Hidden;
        }
        match need {
            Need::Public | Need::Any => Verdict::Allowed,
            Need::User | Need::Instance if only_app.is_some() => Verdict::Forbidden(ONE_APP),
            _ if only_app.is_some() && matches!(subject, Subject::NewApp) => {
                Verdict::Forbidden(ONE_APP)
            }
            Need::Instance if user.role != InstanceRole::Admin => {
                Verdict::Forbidden("this is for the instance's admins")
            }
            Need::User | Need::Instance => {
                let needed = if changes { Scope::Admin } else { Scope::Read };
                within(scope, needed)
            }
            Need::Read => on_app(user, scope, AppRole::Viewer, Scope::Read, subject),
            Need::Deploy => on_app(user, scope, AppRole::Developer, Scope::Deploy, subject),
            Need::Admin => on_app(user, scope, AppRole::Owner, Scope::Admin, subject),
        }
    }
}

fn on_app(
    user: &User,
    scope: Scope,
    needed: AppRole,
    needed_scope: Scope,
    subject: Subject<'_>,
) -> Verdict {
    let role = match subject {
        Subject::NewApp => return within(scope, Scope::Deploy),
        // An operation on an app that names none: nobody may.
        Subject::None => return Verdict::Hidden,
        Subject::App(..) if user.role == InstanceRole::Admin => Some(AppRole::Owner),
        Subject::App(_, role) => role,
    };
    match role {
        None => Verdict::Hidden,
        Some(role) if role < needed => Verdict::Forbidden(match needed {
            AppRole::Owner => "this is for the app's owners",
            _ => "this is for the app's developers and owners",
        }),
        Some(_) => within(scope, needed_scope),
    }
}

fn within(scope: Scope, needed: Scope) -> Verdict {
    if scope >= needed {
        return Verdict::Allowed;
    }
    Verdict::Forbidden(match needed {
        Scope::Admin => "this needs a token with the scope admin",
        _ => "this needs a token with the scope deploy or admin",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use Verdict::{Allowed, Hidden};

    const NEEDS: [Need; 7] = [
        Need::Public,
        Need::Any,
        Need::User,
        Need::Read,
        Need::Deploy,
        Need::Admin,
        Need::Instance,
    ];

    fn user(role: InstanceRole) -> User {
        User { id: UserId(1), name: "anna".parse().unwrap(), role, created_at_ms: 0 }
    }

    fn session(role: InstanceRole) -> Caller {
        Caller::User { user: user(role), by: Credential::Session(1, [0; 32]) }
    }

    fn token(role: InstanceRole, scope: Scope, app: Option<&str>) -> Caller {
        let token = Token {
            id: 1,
            name: String::new(),
            scope,
            app: app.map(|app| app.parse().unwrap()),
            created_at_ms: 0,
            expires_at_ms: None,
            last_used_at_ms: None,
        };
        Caller::User { user: user(role), by: Credential::Token(token) }
    }

    /// What the caller may of a blog to which they are this: `+`, `-` for
    /// forbidden, `0` for hidden, one letter for each of [`NEEDS`].
    #[track_caller]
    fn check(caller: &Caller, role: Option<AppRole>, expected: &str) {
        let blog: AppSlug = "blog".parse().unwrap();
        let letter = |need| {
            let subject = match need {
                Need::Public | Need::Any | Need::User | Need::Instance => Subject::None,
                _ => Subject::App(&blog, role),
            };
            match caller.may(need, true, subject) {
                Allowed => '+',
                Verdict::Forbidden(_) => '-',
                Hidden => '0',
            }
        };
        assert_eq!(NEEDS.into_iter().map(letter).collect::<String>(), expected);
    }

    #[test]
    fn roles_decide_about_a_session() {
        use InstanceRole::{Admin, Member};
        check(&Caller::Operator, None, "+++++++");
        check(&session(Admin), None, "+++++++");
        check(&session(Member), None, "+++000-");
        check(&session(Member), Some(AppRole::Viewer), "++++---");
        check(&session(Member), Some(AppRole::Developer), "+++++--");
        check(&session(Member), Some(AppRole::Owner), "++++++-");
    }

    #[test]
    fn a_token_may_no_more_than_its_scope_and_no_more_than_its_user() {
        use InstanceRole::{Admin, Member};
        let owner = Some(AppRole::Owner);
        check(&token(Member, Scope::Read, None), owner, "++-+---");
        check(&token(Member, Scope::Deploy, None), owner, "++-++--");
        check(&token(Member, Scope::Admin, None), owner, "++++++-");
        check(&token(Member, Scope::Admin, None), Some(AppRole::Viewer), "++++---");
        check(&token(Member, Scope::Admin, None), None, "+++000-");
        check(&token(Admin, Scope::Read, None), None, "++-+---");
        check(&token(Admin, Scope::Admin, None), None, "+++++++");
    }

    #[test]
    fn a_token_for_one_app_opens_no_other_door() {
        use InstanceRole::Admin;
        check(&token(Admin, Scope::Admin, Some("blog")), None, "++-+++-");
        check(&token(Admin, Scope::Admin, Some("shop")), Some(AppRole::Owner), "++-000-");
        let read = token(Admin, Scope::Read, Some("blog"));
        let listed = read.may(Need::User, false, Subject::None);
        assert!(matches!(listed, Verdict::Forbidden(_)));
        assert!(!read.sees_all());
        let deploy = token(Admin, Scope::Admin, Some("blog"));
        let made = deploy.may(Need::Deploy, true, Subject::NewApp);
        assert_eq!(made, Verdict::Forbidden(ONE_APP));
    }

    #[test]
    fn to_read_what_is_ones_own_a_token_that_reads_is_enough() {
        let read = token(InstanceRole::Member, Scope::Read, None);
        assert_eq!(read.may(Need::User, false, Subject::None), Allowed);
        assert!(!read.sees_all());
        assert!(token(InstanceRole::Admin, Scope::Read, None).sees_all());
    }

    #[test]
    fn whoever_may_deploy_may_make_an_app() {
        let deploy = token(InstanceRole::Member, Scope::Deploy, None);
        assert_eq!(deploy.may(Need::Deploy, true, Subject::NewApp), Allowed);
        let read = token(InstanceRole::Member, Scope::Read, None);
        assert!(matches!(read.may(Need::Deploy, true, Subject::NewApp), Verdict::Forbidden(_)));
        assert_eq!(session(InstanceRole::Member).may(Need::Read, false, Subject::None), Hidden);
    }
}
