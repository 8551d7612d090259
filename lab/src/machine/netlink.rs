//! The loopback of a fresh network namespace, brought up over netlink: no program of the host is
//! needed for it, and no unsafe code.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

/// The metadata service's address, on AWS and here.
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const NLMSG_ERROR: u16 = 2;
const REQUEST_ACK: u16 = 0x1 | 0x4;
const CREATE_EXCLUSIVE: u16 = 0x400 | 0x200;
const IFF_UP: u32 = 1;
const IFA_LOCAL: u16 = 2;
const FAMILY_INET: u8 = 2;
const TABLE_LOCAL: u8 = 255;
const ACTION_LOOKUP: u8 = 1;
const FRA_DST: u16 = 1;
const FRA_PRIORITY: u16 = 6;
const FIB_RULE_INVERT: u32 = 2;
/// Where the kernel has the rule for a machine's own addresses.
const FIRST: u32 = 0;
/// The last of all places, beside that of the table `default`, which is empty.
const LAST: u32 = 32_767;

/// Brings the loopback up and gives it the metadata service's address. On AWS that address is none of the
/// machine's own, so that every rule of its routing applies to it: here it is looked up among those last.
pub(crate) fn bring_up_loopback() -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let ask = |message: Vec<u8>| -> io::Result<()> {
        send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        check(answer.get(..length).unwrap_or_default())
    };
    ask(link_up())?;
    ask(address(METADATA))?;
    let make = REQUEST_ACK | CREATE_EXCLUSIVE;
    ask(own_addresses(RTM_NEWRULE, make, LAST, None))?;
    ask(own_addresses(RTM_DELRULE, REQUEST_ACK, FIRST, None))?;
    ask(own_addresses(RTM_NEWRULE, make, FIRST, Some(METADATA)))
}

fn link_up() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    message(RTM_NEWLINK, REQUEST_ACK, &body)
}

fn address(own: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![FAMILY_INET, 32, 0, 0];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(8_u16.to_ne_bytes());
    body.extend(IFA_LOCAL.to_ne_bytes());
    body.extend(own.octets());
    message(RTM_NEWADDR, REQUEST_ACK | CREATE_EXCLUSIVE, &body)
}

/// The rule that own addresses are looked up at this place, but for one.
fn own_addresses(kind: u16, flags: u16, place: u32, but: Option<Ipv4Addr>) -> Vec<u8> {
    let (prefix, inverted) = if but.is_some() {
        (32, FIB_RULE_INVERT)
    } else {
        (0, 0)
    };
    let mut body = vec![FAMILY_INET, prefix, 0, 0, TABLE_LOCAL, 0, 0, ACTION_LOOKUP];
    body.extend(inverted.to_ne_bytes());
    for (attribute, value) in [
        (FRA_DST, but.map(|but| but.octets())),
        (FRA_PRIORITY, Some(place.to_ne_bytes())),
    ] {
        if let Some(value) = value {
            body.extend(8_u16.to_ne_bytes());
            body.extend(attribute.to_ne_bytes());
            body.extend(value);
        }
    }
    message(kind, flags, &body)
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    message
}

/// The kernel answers with an error message, whose number is 0 for success.
fn check(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let number = answer.get(16..20).and_then(|bytes| bytes.try_into().ok());
    match (kind.map(u16::from_ne_bytes), number.map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        (_, _) => Err(io::Error::other("netlink answered something else")),
    }
}
