//! EC2's Query API over a book of instances. Machines are entries: their owner says when one is up
//! ([`Ec2::booted`]) and when it is off ([`Ec2::gone`]).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::DerefMut;

use jiff::Timestamp;

use crate::ec2::actions;
use crate::ec2::catalog;
use crate::ec2::image::Image;
use crate::ec2::named::Named;
use crate::ec2::params::Params;
use crate::ec2::run_checks::{IMAGE_PARAMETER, image_parameter};
use crate::ec2::{
    ApiError, Blueprint, Calls, Change, Ec2State, FaultInjection, Instance, InstanceState,
    Launched, Plan, Reason, Shutdown, Stop, World, Xml, answer,
};
use crate::emulator::{Profile, Template};
use crate::ids::{hex_id, uuid};

/// What CloudFormation made, as far as a launch names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Launch templates by id and version, as launches say both.
    pub templates: BTreeMap<(String, String), Template>,
    /// The zone of each subnet.
    pub subnets: BTreeMap<String, String>,
    /// Ids of security groups.
    pub security_groups: BTreeSet<String>,
    /// Names of instance profiles.
    pub profiles: BTreeSet<String>,
    /// Images by the paths of their parameters. An image is one of the lab's catalog, such as
    /// [`IMAGE`](super::IMAGE).
    pub images: BTreeMap<String, String>,
}

/// An instance as its owner sees it, ended ones too: EC2 forgets them an hour later, with the next launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView<'a> {
    /// Its id.
    pub id: &'a str,
    /// The client token of its launch; empty for a foreign one.
    pub token: &'a str,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// Its type.
    pub instance_type: &'a str,
    /// Its subnet.
    pub subnet: &'a str,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// Where it stands.
    pub state: InstanceState,
    /// When it was launched.
    pub launched_ms: u64,
    /// From when on EC2 describes it.
    pub visible_ms: u64,
    /// When its machine was up.
    pub running_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// Why it ends or ended.
    pub reason: Option<Reason>,
    /// How its machine was asked to end.
    pub stop: Stop,
}

/// EC2 in process. Requests are not signed, or nobody looks.
pub struct Ec2 {
    made: Made,
    now: Cell<Timestamp>,
    state: RefCell<Ec2State>,
    /// By instance, of those whose end was asked for.
    stops: RefCell<BTreeMap<String, Stop>>,
}

impl Ec2 {
    /// An account with what CloudFormation `made` in it, and no instance.
    #[must_use]
    pub fn new(made: Made, now_ms: u64) -> Self {
        let now = timestamp(now_ms);
        Self {
            made,
            now: Cell::new(now),
            state: RefCell::new(Ec2State::new(now)),
            stops: RefCell::default(),
        }
    }

    /// Status and XML for a request, which is a form as SDKs post it: `RunInstances`, `DescribeInstances`,
    /// `TerminateInstances`, `StopInstances`, and descriptions of images. A fault's `latency_ms` is left to
    /// the caller to keep.
    pub fn answer(&mut self, body: &[u8], now_ms: u64) -> (u16, Vec<u8>) {
        self.now.set(timestamp(now_ms));
        let request_id = uuid();
        let answer = match self.act(body, &request_id) {
            Ok(xml) => answer(http::StatusCode::OK, xml),
            Err(error) => error.answer(&request_id),
        };
        (answer.status().as_u16(), answer.into_body().to_vec())
    }

    /// What it is told to get wrong.
    pub fn faults(&mut self) -> &mut FaultInjection {
        &mut self.state.get_mut().faults
    }

    /// What was asked of it and what came of it.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.state.borrow().calls.clone()
    }

    /// All instances that it remembers, by their ids.
    pub fn instances(&mut self) -> impl Iterator<Item = InstanceView<'_>> {
        let stops = &*self.stops.get_mut();
        let all = self.state.get_mut().instances.values();
        all.map(move |one| InstanceView {
            id: &one.id,
            token: &one.token,
            tags: &one.blueprint.tags,
            instance_type: &one.blueprint.instance_type,
            subnet: &one.blueprint.subnet,
            spot: one.blueprint.spot,
            state: one.state,
            launched_ms: milliseconds(one.launched),
            visible_ms: milliseconds(one.visible),
            running_ms: one.running.map(milliseconds),
            ended_ms: one.ended.map(milliseconds),
            reason: one.reason,
            stop: stops.get(&one.id).copied().unwrap_or(Stop::Not),
        })
    }

    /// The machine of `id` is up. Whether that changed anything.
    pub fn booted(&mut self, id: &str, now_ms: u64) -> bool {
        self.now.set(timestamp(now_ms));
        self.change(id, Change::Booted).is_some()
    }

    /// The machine of `id` is off: the instance is over, or stopped if that was to become of it. Whether
    /// that changed anything.
    pub fn gone(&mut self, id: &str, now_ms: u64) -> bool {
        self.now.set(timestamp(now_ms));
        self.change(id, Change::Gone).is_some()
    }

    /// `id` begins to end for this reason: its machine is yet to go off ([`Self::gone`]). Whether there is
    /// such an instance.
    pub fn end(&mut self, id: &str, reason: Reason, now_ms: u64) -> bool {
        self.now.set(timestamp(now_ms));
        let shutdown = self
            .state
            .borrow()
            .instances
            .get(id)
            .map(|one| one.blueprint.shutdown);
        let Some(shutdown) = shutdown else {
            return false;
        };
        let world: &Self = self;
        match (reason, shutdown) {
            (Reason::Itself, Shutdown::Stop) => World::stop(world, id, reason, Stop::Not),
            (Reason::Itself, Shutdown::Terminate) => World::end(world, id, reason, Stop::Not),
            (Reason::Spot | Reason::User, _) => World::end(world, id, reason, Stop::Graceful),
            (Reason::Host, _) => World::end(world, id, reason, Stop::Outright),
        };
        true
    }

    /// Somebody else's instance with these tags, which runs: its id.
    pub fn add_foreign(&mut self, tags: BTreeMap<String, String>, now_ms: u64) -> String {
        let now = timestamp(now_ms);
        let id = format!("i-{}", hex_id());
        let subnet = self.made.subnets.first_key_value();
        let (subnet, zone) = subnet
            .map(|(subnet, zone)| (subnet.clone(), zone.clone()))
            .unwrap_or_default();
        let image = Image::stock(catalog::IMAGE).expect("the catalog has its own image");
        let root_volume_gb = image.size_gb;
        let blueprint = Blueprint {
            zone,
            subnet,
            instance_type: "t3.micro".to_owned(),
            user_data: Vec::new(),
            profile: None,
            spot: false,
            tags,
            image,
            shutdown: Shutdown::Stop,
            root_volume_gb,
        };
        let instance = Instance {
            id: id.clone(),
            token: String::new(),
            blueprint,
            state: InstanceState::Running,
            reason: None,
            launched: now,
            visible: now,
            running: Some(now),
            halted: None,
            ended: None,
        };
        self.state.get_mut().instances.insert(id.clone(), instance);
        id
    }

    fn act(&self, body: &[u8], request_id: &str) -> Result<Xml, ApiError> {
        let mut params = Params::parse(body)?;
        let action = params.require("Action")?;
        let outcome = self.act_on(&action, params, request_id);
        let word = outcome
            .as_ref()
            .map_or_else(|error| error.code.as_str(), |_| Calls::SERVED);
        self.state.borrow_mut().calls.note(&action, word);
        outcome
    }

    fn act_on(&self, action: &str, mut params: Params, request_id: &str) -> Result<Xml, ApiError> {
        actions::check_version(&mut params)?;
        if action != "RunInstances" {
            return actions::answer(self, action, params, request_id);
        }
        let request = actions::launch_request(self, params)?;
        let template = request.template().and_then(|(id, version)| {
            self.made
                .templates
                .get(&(id.to_owned(), version.to_owned()))
                .cloned()
        });
        let wanted = request.wanted(template)?;
        let named = self.made.named(&wanted, request.subnet());
        actions::run_instances(self, request, (wanted, named), request_id)
    }
}

impl Made {
    /// What of `wanted` is there.
    fn named(&self, wanted: &Template, subnet: &str) -> Named {
        let mut groups = wanted.security_groups.iter();
        let missing_group = groups.find(|group| !self.security_groups.contains(*group));
        let profile = wanted
            .profile
            .as_ref()
            .filter(|name| self.profiles.contains(*name));
        let image = image_parameter(wanted).and_then(|path| self.images.get(path));
        Named {
            zone: self.subnets.get(subnet).cloned(),
            missing_group: missing_group.cloned(),
            profile: profile.map(|name| Profile {
                role: name.clone(),
                role_id: name.clone(),
            }),
            parameter: image.map(|image| (image.clone(), IMAGE_PARAMETER.to_owned())),
        }
    }
}

impl World for Ec2 {
    fn state(&self) -> impl DerefMut<Target = Ec2State> {
        self.state.borrow_mut()
    }

    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn launch(&self, plan: &Plan) -> Result<Launched, ApiError> {
        let mut state = self.state.borrow_mut();
        let (launched, _) = state.launch(plan, self.now.get())?;
        let known = &state.instances;
        self.stops
            .borrow_mut()
            .retain(|id, _| known.contains_key(id));
        Ok(launched)
    }

    fn change(&self, id: &str, change: Change) -> Option<InstanceState> {
        self.state.borrow_mut().change(id, change, self.now.get())
    }

    fn ask(&self, id: &str, stop: Stop) {
        let mut stops = self.stops.borrow_mut();
        let asked = stops.entry(id.to_owned()).or_insert(Stop::Not);
        *asked = (*asked).max(stop);
    }
}

fn timestamp(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

fn milliseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}
