//! The bodies of deliveries and API answers, field for field as the forge writes them.
//!
//! Invariant: pure functions of the model. Field order is part of the contract (a struct's order is
//! the body's order), and so are absent fields: what is not known yet is left out, not null. What the
//! stand-in has nothing of stays at its default, as in the forge.

use jiff::Timestamp;
use serde::Serialize;

use super::model::{Account, Repository, Site};
use super::version::Version;

pub(crate) mod actions;
pub(crate) mod push;

/// How a Go zero time looks.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The forge's time format; 0 is its unset time.
pub(crate) fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// The bytes that are sent: two spaces of indentation, and HTML's characters escaped, as Go does.
/// Those characters occur in JSON only inside strings.
pub(crate) fn bytes<T: Serialize>(body: &T) -> Vec<u8> {
    let text = serde_json::to_string_pretty(body).expect("plain structs of strings serialize");
    text.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .into_bytes()
}

/// A repository with everything that its body shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostedRepository<'a> {
    pub(crate) site: &'a Site,
    pub(crate) version: Version,
    pub(crate) owner: &'a Account,
    pub(crate) repository: &'a Repository,
}

impl HostedRepository<'_> {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner.login, self.repository.name)
    }

    fn page(&self) -> String {
        format!("{}/{}", self.site.root, self.full_name())
    }

    pub(crate) fn api(&self) -> String {
        format!("{}/api/v1/repos/{}", self.site.root, self.full_name())
    }

    /// The event's `organization`, absent for repositories of users.
    fn organization(&self) -> Option<OrganizationBody> {
        self.owner
            .organization
            .then(|| organization(self.site, self.owner))
    }
}

#[derive(Debug, Default, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the forge's fields, one by one"
)]
pub(crate) struct UserBody {
    id: i64,
    login: String,
    login_name: &'static str,
    source_id: i64,
    full_name: &'static str,
    email: String,
    avatar_url: String,
    html_url: String,
    language: &'static str,
    is_admin: bool,
    last_login: &'static str,
    created: String,
    restricted: bool,
    active: bool,
    prohibit_login: bool,
    location: &'static str,
    website: &'static str,
    description: &'static str,
    visibility: &'static str,
    followers_count: u32,
    following_count: u32,
    starred_repos_count: u32,
    username: String,
}

/// How much of an address a body shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Email {
    /// None: the owner of a repository that is an organization.
    Hidden,
    /// `ID+LOGIN@noreply.…`.
    NoReply,
    /// The real one: the owner of a repository that is a user.
    Own,
}

pub(crate) fn user(site: &Site, account: &Account, email: Email) -> UserBody {
    UserBody {
        id: account.id,
        login: account.login.clone(),
        email: match email {
            Email::Hidden => String::new(),
            Email::NoReply => format!("{}+{}@noreply.localhost", account.id, account.login),
            Email::Own => account.email.clone(),
        },
        avatar_url: format!("{}/avatars/{}", site.root, account.avatar),
        html_url: format!("{}/{}", site.root, account.login),
        last_login: NEVER,
        created: time(account.created),
        visibility: "public",
        username: account.login.clone(),
        ..UserBody::default()
    }
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct OrganizationBody {
    id: i64,
    name: String,
    full_name: &'static str,
    email: &'static str,
    avatar_url: String,
    description: &'static str,
    website: &'static str,
    location: &'static str,
    visibility: &'static str,
    repo_admin_change_team_access: bool,
    username: String,
}

pub(crate) fn organization(site: &Site, account: &Account) -> OrganizationBody {
    OrganizationBody {
        id: account.id,
        name: account.login.clone(),
        avatar_url: format!("{}/avatars/{}", site.root, account.avatar),
        visibility: "public",
        username: account.login.clone(),
        ..OrganizationBody::default()
    }
}

#[derive(Debug, Default, Serialize)]
struct Permissions {
    admin: bool,
    push: bool,
    pull: bool,
}

#[derive(Debug, Default, Serialize)]
struct InternalTracker {
    enable_time_tracker: bool,
    allow_only_contributors_to_track_time: bool,
    enable_issue_dependencies: bool,
}

#[derive(Debug, Default, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the forge's fields, one by one"
)]
pub(crate) struct RepositoryBody {
    id: i64,
    owner: UserBody,
    name: String,
    full_name: String,
    description: &'static str,
    empty: bool,
    private: bool,
    fork: bool,
    template: bool,
    mirror: bool,
    size: u64,
    language: String,
    languages_url: String,
    html_url: String,
    url: String,
    link: &'static str,
    ssh_url: String,
    clone_url: String,
    original_url: &'static str,
    website: &'static str,
    stars_count: u32,
    forks_count: u32,
    watchers_count: u32,
    branch_count: usize,
    open_issues_count: u32,
    open_pr_counter: u32,
    release_counter: u32,
    default_branch: String,
    archived: bool,
    created_at: String,
    updated_at: String,
    archived_at: String,
    permissions: Permissions,
    has_code: bool,
    has_issues: bool,
    internal_tracker: InternalTracker,
    has_wiki: bool,
    has_pull_requests: bool,
    has_projects: bool,
    projects_mode: &'static str,
    has_releases: bool,
    has_packages: bool,
    has_actions: bool,
    ignore_whitespace_conflicts: bool,
    allow_merge_commits: bool,
    allow_rebase: bool,
    allow_rebase_explicit: bool,
    allow_squash_merge: bool,
    allow_fast_forward_only_merge: bool,
    /// This and two others came with 1.27.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_merge_update: Option<bool>,
    allow_rebase_update: bool,
    allow_manual_merge: bool,
    autodetect_manual_merge: bool,
    default_delete_branch_after_merge: bool,
    default_merge_style: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_update_style: Option<&'static str>,
    default_allow_maintainer_edit: bool,
    avatar_url: &'static str,
    internal: bool,
    mirror_interval: &'static str,
    object_format_name: &'static str,
    mirror_updated: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror_last_sync_at: Option<&'static str>,
    topics: [&'static str; 0],
    licenses: [&'static str; 0],
}

/// Who a repository's body is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// For somebody with all rights, as in events and answers.
    Admin,
    /// For nobody, as inside a `workflow_run`.
    Nobody,
}

pub(crate) fn repository(hosted: HostedRepository<'_>) -> RepositoryBody {
    repository_for(hosted, View::Admin)
}

fn repository_for(hosted: HostedRepository<'_>, view: View) -> RepositoryBody {
    let HostedRepository {
        site,
        version,
        owner,
        repository,
    } = hosted;
    let since_1_27 = version.is_gitea_since(Version::Gitea1_27);
    let full_name = hosted.full_name();
    let rights = view == View::Admin;
    let email = match (view, owner.organization) {
        (View::Nobody, _) => Email::NoReply,
        (View::Admin, true) => Email::Hidden,
        (View::Admin, false) => Email::Own,
    };
    RepositoryBody {
        id: repository.id,
        owner: user(site, owner, email),
        name: repository.name.clone(),
        empty: repository.branches == 0,
        private: repository.private,
        size: repository.size_kb,
        language: repository.language.clone(),
        languages_url: format!("{}/languages", hosted.api()),
        html_url: hosted.page(),
        url: hosted.api(),
        ssh_url: format!("{}:{full_name}.git", site.ssh),
        clone_url: format!("{}.git", hosted.page()),
        watchers_count: 1,
        branch_count: repository.branches,
        default_branch: repository.default_branch.clone(),
        created_at: time(repository.created),
        updated_at: time(repository.updated),
        archived_at: time(0),
        permissions: Permissions {
            admin: rights,
            push: rights,
            pull: rights,
        },
        has_code: true,
        has_issues: true,
        internal_tracker: InternalTracker {
            enable_time_tracker: true,
            allow_only_contributors_to_track_time: true,
            enable_issue_dependencies: true,
        },
        has_wiki: true,
        has_pull_requests: true,
        has_projects: true,
        projects_mode: "all",
        has_releases: true,
        has_packages: true,
        has_actions: true,
        allow_merge_commits: true,
        allow_rebase: true,
        allow_rebase_explicit: true,
        allow_squash_merge: true,
        allow_fast_forward_only_merge: true,
        allow_merge_update: since_1_27.then_some(true),
        allow_rebase_update: true,
        default_merge_style: "merge",
        default_update_style: since_1_27.then_some("merge"),
        default_allow_maintainer_edit: true,
        object_format_name: "sha1",
        mirror_updated: NEVER,
        mirror_last_sync_at: since_1_27.then_some(NEVER),
        full_name,
        ..RepositoryBody::default()
    }
}

#[cfg(test)]
mod tests;
