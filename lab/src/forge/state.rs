//! All that the forge holds, and how it is found.
//!
//! Invariant: no I/O and no clock. What has to be delivered is put into the outbox, which its owner
//! empties after every change.

use std::collections::{BTreeMap, BTreeSet};

use super::deliver::Delivery;
use super::model::{
    ADMIN, Account, CommitStatus, Hook, Job, Repository, Run, Runner, Scope, Site, Task, Token,
};
use super::payload::{self, HostedRepository, actions, push};
use super::version::Version;
use crate::folder::FORGE_URL;

/// What gets numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Account,
    Repository,
    Hook,
    Run,
    Job,
    Task,
    Runner,
    Status,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) version: Version,
    pub(crate) site: Site,
    pub(crate) accounts: BTreeMap<i64, Account>,
    pub(crate) repositories: BTreeMap<i64, Repository>,
    pub(crate) hooks: BTreeMap<i64, Hook>,
    pub(crate) runs: BTreeMap<i64, Run>,
    pub(crate) jobs: BTreeMap<i64, Job>,
    pub(crate) tasks: BTreeMap<i64, Task>,
    pub(crate) runners: BTreeMap<i64, Runner>,
    pub(crate) statuses: Vec<CommitStatus>,
    /// By place and name, in capitals.
    pub(crate) variables: BTreeMap<(Scope, String), String>,
    /// Workflows that somebody disabled, by their paths below their folder.
    pub(crate) disabled: BTreeSet<(i64, String)>,
    pub(crate) tokens: BTreeMap<String, Token>,
    /// Names of tokens; none is given twice.
    pub(crate) token_names: BTreeSet<(i64, String)>,
    pub(crate) admin_password: String,
    /// Browsers that are signed in; only the administrator has a password.
    pub(crate) sessions: BTreeSet<String>,
    pub(crate) registration: BTreeMap<Scope, String>,
    /// Where repositories were before they got another name, by owner and name in small letters.
    pub(crate) renamed: BTreeMap<(i64, String), i64>,
    /// Grows whenever there is a new job to hand out: runners that saw it do not search again.
    pub(crate) tasks_version: i64,
    /// What is to be delivered, in order.
    pub(crate) outbox: Vec<Delivery>,
    numbers: BTreeMap<Kind, i64>,
}

impl State {
    /// An empty forge with its administrator.
    pub(crate) fn new(
        version: Version,
        admin_token: &str,
        registration_token: &str,
        now: i64,
    ) -> Self {
        let mut state = Self {
            version,
            site: Site {
                root: FORGE_URL.to_owned(),
                ssh: "git@forge.lab".to_owned(),
            },
            accounts: BTreeMap::new(),
            repositories: BTreeMap::new(),
            hooks: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            runners: BTreeMap::new(),
            statuses: Vec::new(),
            variables: BTreeMap::new(),
            disabled: BTreeSet::new(),
            tokens: BTreeMap::new(),
            token_names: BTreeSet::new(),
            admin_password: String::new(),
            sessions: BTreeSet::new(),
            registration: BTreeMap::from([(Scope::Global, registration_token.to_owned())]),
            renamed: BTreeMap::new(),
            tasks_version: 1,
            outbox: Vec::new(),
            numbers: BTreeMap::new(),
        };
        let account = state.add_account(ADMIN, false, now);
        let admin = Token {
            account,
            admin: true,
            write: true,
            only: None,
            password: false,
        };
        state.tokens.insert(admin_token.to_owned(), admin);
        state
    }

    /// The next number of its kind; none is used twice.
    pub(crate) fn number(&mut self, kind: Kind) -> i64 {
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        *number
    }

    pub(crate) fn add_account(&mut self, login: &str, organization: bool, now: i64) -> i64 {
        let id = self.number(Kind::Account);
        let account = Account {
            id,
            login: login.to_owned(),
            organization,
            email: format!("{login}@forge.lab"),
            avatar: crate::ids::random_hex(16),
            created: now,
        };
        self.accounts.insert(id, account);
        id
    }

    /// An empty public repository.
    pub(crate) fn add_repository(
        &mut self,
        owner: i64,
        name: &str,
        default_branch: &str,
        now: i64,
    ) -> i64 {
        let id = self.number(Kind::Repository);
        let repository = Repository {
            id,
            owner,
            name: name.to_owned(),
            private: false,
            default_branch: default_branch.to_owned(),
            size_kb: 0,
            language: String::new(),
            branches: 0,
            created: now,
            updated: now,
        };
        self.repositories.insert(id, repository);
        id
    }

    pub(crate) fn account(&self, login: &str) -> Option<&Account> {
        self.accounts
            .values()
            .find(|account| account.login.eq_ignore_ascii_case(login))
    }

    pub(crate) fn repository(&self, owner: &str, name: &str) -> Option<&Repository> {
        let owner = self.account(owner)?.id;
        self.repositories.values().find(|repository| {
            repository.owner == owner && repository.name.eq_ignore_ascii_case(name)
        })
    }

    /// A repository with its surroundings, for payloads.
    pub(crate) fn hosted(&self, repository: i64) -> HostedRepository<'_> {
        let repository = &self.repositories[&repository];
        HostedRepository {
            site: &self.site,
            version: self.version,
            owner: &self.accounts[&repository.owner],
            repository,
        }
    }

    /// The variables that jobs of a repository see: its own before those of its owner.
    pub(crate) fn variables_of(&self, repository: i64) -> BTreeMap<String, String> {
        let owner = self.repositories[&repository].owner;
        let scopes = [Scope::Owner(owner), Scope::Repository(repository)];
        let of = |scope: Scope| {
            let all = self.variables.iter();
            all.filter(move |((of, _), _)| *of == scope)
                .map(|((_, name), value)| (name.clone(), value.clone()))
        };
        scopes.into_iter().flat_map(of).collect()
    }

    /// The workflows of a repository that somebody disabled.
    pub(crate) fn disabled_in(&self, repository: i64) -> BTreeSet<String> {
        let all = self.disabled.iter();
        all.filter(|(of, _)| *of == repository)
            .map(|(_, name)| name.clone())
            .collect()
    }

    pub(crate) fn job_body(&self, job: &Job) -> actions::JobBody {
        let task = job.task.and_then(|task| self.tasks.get(&task));
        actions::job(self.hosted(job.repository), &self.runs[&job.run], job, task)
    }

    pub(crate) fn run_body(&self, run: &Run) -> actions::RunBody {
        let actor = &self.accounts[&run.actor];
        actions::run(self.hosted(run.repository), actor, run)
    }

    pub(crate) fn is_busy(&self, runner: i64) -> bool {
        self.tasks
            .values()
            .any(|task| task.running && task.runner == runner)
    }

    /// The runner of these credentials.
    pub(crate) fn runner_of(&self, uuid: &str, token: &str) -> Option<i64> {
        self.runners
            .values()
            .find(|runner| runner.uuid == uuid && runner.token == token)
            .map(|runner| runner.id)
    }

    pub(crate) fn announce_push(&mut self, repository: i64, actor: i64, pushed: &push::Pushed) {
        let event = push::push_event(self.hosted(repository), &self.accounts[&actor], pushed);
        self.announce(repository, "push", &payload::bytes(&event));
    }

    /// A branch or tag came or went. Hooks of type `forgejo` hear of it by its full name (measured on 15.0.3).
    pub(crate) fn announce_reference(
        &mut self,
        repository: i64,
        actor: i64,
        pushed: &push::Pushed,
    ) {
        let hosted = self.hosted(repository);
        let [short, full] = [false, true].map(|is_full| {
            let event = push::reference_event(hosted, &self.accounts[&actor], pushed, is_full);
            payload::bytes(&event)
        });
        let event = if pushed.after == push::ZERO {
            "delete"
        } else {
            "create"
        };
        self.announce_to_each(repository, event, |hook| {
            if hook.full_names { &full } else { &short }
        });
    }

    /// A job stands otherwise than before: its commit shows it, and hooks hear of it.
    pub(crate) fn announce_job(&mut self, job: i64, now: i64) {
        self.check(job, now);
        let job = &self.jobs[&job];
        let repository = job.repository;
        let actor = &self.accounts[&self.runs[&job.run].actor];
        let event = actions::job_event(self.hosted(repository), actor, self.job_body(job));
        self.announce(repository, "workflow_job", &payload::bytes(&event));
    }

    pub(crate) fn announce_run(&mut self, run: i64, action: &'static str) {
        let run = &self.runs[&run];
        let repository = run.repository;
        let actor = &self.accounts[&run.actor];
        let event = actions::run_event(self.hosted(repository), actor, run, action, run.committed);
        self.announce(repository, "workflow_run", &payload::bytes(&event));
    }

    /// One delivery for each hook that listens: the repository's, its owner's, the system's.
    fn announce(&mut self, repository: i64, event: &'static str, body: &[u8]) {
        self.announce_to_each(repository, event, |_| body);
    }

    fn announce_to_each<'a>(
        &mut self,
        repository: i64,
        event: &'static str,
        body: impl Fn(&Hook) -> &'a [u8],
    ) {
        if !self.version.sends(event) {
            return;
        }
        let repository = &self.repositories[&repository];
        let mut hooks: Vec<&Hook> = self
            .hooks
            .values()
            .filter(|hook| {
                hook.active
                    && hook.scope.covers(repository)
                    && hook.events.iter().any(|wanted| wanted == event)
            })
            .collect();
        hooks.sort_by_key(|hook| (std::cmp::Reverse(hook.scope), hook.id));
        for hook in hooks {
            let target = match hook.scope {
                Scope::Repository(_) => "repository",
                Scope::Owner(owner) if self.accounts[&owner].organization => "organization",
                Scope::Owner(_) => "user",
                Scope::Global => "system",
            };
            self.outbox.push(Delivery::new(
                self.version,
                hook,
                target,
                event,
                body(hook).to_owned(),
            ));
        }
    }
}
