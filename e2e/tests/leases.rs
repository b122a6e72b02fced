//! Clients get leases: on the LAN, through a relay, from the right one of two pairs.

use e2e::client::Client;
use e2e::cluster::{FAR, Relay};
use e2e::{Pair, Role, Story, Told, ensure, story};

#[test]
fn clients_on_the_lan_get_a_lease_and_both_servers_know_it() {
    story("Clients on the LAN get a lease, and both servers know it", |story| {
        let pair = Pair::on_lan("e2e-lan");
        story.start(&pair)?;
        let (phone, laptop) = (Client::on_lan("phone")?, Client::on_lan("laptop")?);
        let leases = [("udhcpc", phone.udhcpc()?), ("dhclient", laptop.dhclient()?)];
        for (program, lease) in &leases {
            story.saw(format!("{program} got {lease}"));
        }
        ensure(leases[0].1.address != leases[1].1.address, || "both have one address".into())?;
        story.same_leases(&pair)?;
        let again = phone.udhcpc()?;
        story.saw(format!("udhcpc asked again: {again}"));
        ensure(again.address == leases[0].1.address, || "another address than before".into())?;
        ensure(again.seconds > 60, || {
            format!("a renewed lease of {} s, not longer than the MCLT", again.seconds)
        })?;
        story.same_leases(&pair)?;
        holds(&pair, &phone, &again.address)?;
        holds(&pair, &laptop, &leases[1].1.address)?;
        let states = pair.states()?;
        story.saw(&states);
        ensure(pair.condition("Ready")?.starts_with("True"), || states)
    });
}

#[test]
fn a_client_behind_a_relay_gets_a_lease_of_its_own_network() {
    story("A client behind isc-dhcp-relay gets a lease of its own network", |story| {
        let pair = Pair::of("e2e-far", FAR);
        story.start(&pair)?;
        let _relay = Relay::start()?;
        far_client(story, &pair)?;
        story.same_leases(&pair)
    });
}

#[test]
fn two_pairs_on_the_same_nodes_answer_each_their_own_clients() {
    story("Two pairs on the same two nodes answer each their own clients", |story| {
        let (near, far) = (Pair::on_lan("e2e-near"), Pair::of("e2e-far", FAR));
        story.start(&near)?;
        story.start(&far)?;
        let _relay = Relay::start()?;
        let mine = far_client(story, &far)?;
        let phone = Client::on_lan("phone")?;
        let lease = phone.udhcpc()?;
        story.saw(format!("on the LAN: {lease}"));
        for pair in [&near, &far] {
            story.same_leases(pair)?;
        }
        for role in Role::BOTH {
            for (pair, stranger) in [(&near, &mine), (&far, &phone.hardware_address)] {
                let table = pair.leases(role)?;
                let strange = table.iter().find(|(_, line)| line.client.contains(stranger.as_str()));
                ensure(strange.is_none(), || {
                    format!("{} knows a client of the other: {strange:?}", pair.name)
                })?;
            }
        }
        story.saw("neither pair knows the other's client; both are in Normal on the same nodes");
        near.until_normal(5)?;
        far.until_normal(5).map(|_| ())
    });
}

/// Answers the client's hardware address.
fn far_client(story: &Story, pair: &Pair) -> Told<String> {
    let barn = Client::behind_relay("barn")?;
    let lease = barn.udhcpc()?;
    story.saw(format!("through the relay: {lease}"));
    ensure(lease.address.starts_with(FAR), || format!("{} is not of {FAR}.0/24", lease.address))?;
    let again = barn.udhcpc()?;
    story.saw(format!("and again: {again}"));
    ensure(again.address == lease.address, || "another address than before".into())?;
    holds(pair, &barn, &lease.address)?;
    Ok(barn.hardware_address.clone())
}

fn holds(pair: &Pair, client: &Client, address: &str) -> Told {
    for role in Role::BOTH {
        let table = pair.leases(role)?;
        let line = table.get(address);
        let known =
            line.is_some_and(|line| line.state == "Active" && line.client.contains(&client.hardware_address));
        ensure(known, || format!("the {} has {address} as {line:?}", role.text()))?;
    }
    Ok(())
}
