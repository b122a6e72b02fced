//! Seeds that once broke an invariant, each with the bug's story. They may play another history by now, as
//! every change of the simulator draws other numbers; the rule itself has its own unit test where named.

use sim::{Plan, World};

/// With the faults that the first simulator had.
fn holds(seed: u64) {
    play(Plan::basic(seed));
}

fn holds_with_all_faults(seed: u64) {
    play(Plan::faulty(seed));
}

fn holds_in_any_weather(seed: u64) {
    play(Plan::of(seed));
}

fn play(plan: Plan) {
    let seed = plan.seed;
    if let Err(violation) = World::new(plan, false).run() {
        panic!("seed {seed}: {violation}");
    }
}

/// A reservation changed hands while the link was down: one server had leased the address to the client before, the other
/// gave it to its new client at once, as both call a reserved address their own. Now it is told anew, and is nobody's
/// until the partner agrees.
#[test]
fn seed_4345_a_reservation_that_changes_hands_waits_for_the_partner() {
    holds_in_any_weather(4345);
}

/// The same, by a partner that got the configuration 19 s later and agreed meanwhile, with the client before in mind. Now it
/// is told for whom the address is reserved, and refuses.
#[test]
fn seed_4203_a_partner_with_the_configuration_before_agrees_to_no_other_holder() {
    holds_in_any_weather(4203);
}

/// Another split came with the configuration, and the secondary goes by what CONNECT said: until the connection broke some
/// time, some clients were answered by both servers, and others by none (2310). Now the primary connects anew.
#[test]
fn seeds_325_and_2310_a_new_split_is_told() {
    holds_in_any_weather(325);
    holds_in_any_weather(2310);
}

/// The secondary's disk stood still for five seconds while its CONNECTACK waited for it. The message said
/// when it was queued, so the secondary's clock seemed five seconds slow, and the primary moved every
/// potential it was told five seconds ahead. It then granted beyond what its partner would have waited for:
/// with the primary dead, another client could have got the address five seconds early. Now a message says
/// when it leaves, and a clock counts as slow only if even the answer to our own question says so
/// (`session::tests`).
#[test]
fn seed_4650_a_stalled_disk_is_no_slow_clock() {
    holds(4650);
}

/// A declined address came out of its time-out while the primary was alone in PartnerDown, so it was freed
/// there. The primary told the returning secondary "free", which refuses that over its own "abandoned"; and
/// the primary took the refusal for that of a reclaim and left the address to the secondary. Neither server
/// used it ever again. Now it is told as the reset that it was, and only the refusal of a reclaim gives an
/// address away (`binding::tests::updates`).
#[test]
fn seed_17782_an_abandoned_address_freed_in_partner_down_comes_back() {
    holds(17782);
}

/// A primary without memory came back; both servers then held one lease until different times, as the
/// secondary had learned of a later renewal. Nothing was wrong: the checker did not wait for the hold.
#[test]
fn seed_21414_an_amnesia_hold_ends_before_the_tables_are_compared() {
    holds(21414);
}

/// A server in RecoverDone renews leases only while the link is up, as its partner may still be counting on
/// its silence. The link was lost while an ACK waited for the disk; RecoverDone stayed, so nothing dropped
/// the ACK, and it left seconds later. Meanwhile the survivor may have given the address away. Now whatever
/// ends the service drops what waits, not only a change of state.
#[test]
fn seed_29617_an_ack_does_not_outlive_the_link_in_recover_done() {
    holds(29617);
    holds(33910);
}

/// The primary lost its volume, fetched everything from the secondary, and before both were in Normal again
/// the secondary lost its own. As the primary had not been in Normal with its new store, it took the request
/// for everything for that of a new partner: it went on granting on potentials that the partner had
/// forgotten, five minutes past what the partner would have waited for. Now every acknowledgement or promise
/// of the partner in the table makes its loss of memory one.
#[test]
fn seed_72026_a_partner_can_lose_its_memory_before_the_first_normal() {
    holds(72026);
}

/// The primary lost its volume and was fetching it from the secondary when the secondary lost its own. The
/// primary was already holding leases for its own loss, took that for enough, and went on counting on what
/// the partner had forgotten. Now every request for everything ends what the partner's memory was good for.
#[test]
fn seed_216_each_loss_of_memory_counts() {
    holds(216);
    holds(2263);
}

/// A server stood still while a client's RELEASE waited in its socket buffer. The client came back, and the
/// partner leased it the same address. The server woke up, took the RELEASE for news, and its word, being
/// the later one, ended the new lease: another client got the address. Now nothing is released in the first
/// moments after a standstill (decision 012).
#[test]
fn seed_95_a_release_from_before_a_standstill_is_not_news() {
    holds_with_all_faults(95);
    holds_with_all_faults(3269);
}

/// Two clients sent the same identifier. An ACK for one waited for the disk while the other released or
/// declined the lease, and left although the disk said otherwise by then. Now an ACK leaves only if its lease
/// still stands.
#[test]
fn seed_962_an_ack_leaves_only_if_its_lease_still_stands() {
    holds_with_all_faults(962);
    holds_with_all_faults(732);
}

/// A pool was removed, one volume lost, then the other, and the pool came back: nobody knew any more of the
/// leases in it that clients still had (decision 011).
#[test]
fn seed_13718_leases_of_a_removed_pool_survive_lost_volumes() {
    holds_with_all_faults(13718);
}

/// A client renewed at one server and released at the other in the same second: each refused the other's word
/// for ever, once a second (decision 010).
#[test]
fn seed_15248_a_release_in_the_second_of_a_renewal_is_settled() {
    holds_with_all_faults(15248);
}

/// A client declined at one server and came back for the address at the other one, which the link did not reach.
/// The acknowledgement that the address is abandoned overtook the word of that lease, as the window was full, and
/// the address was leased to somebody else. Now it waits for as long as the partner may have promised
/// (`binding::tests::updates`).
#[test]
fn seed_53192_an_acknowledgement_overtakes_the_word_of_a_lease_after_a_decline() {
    holds_with_all_faults(53192);
}

/// A server was fenced while it ran behind a partition, and its partner let go. When they met, both took it for a
/// conflict, whose rules do not know that one had waited its time and used an address that the other calls
/// abandoned. Now a fenced server meets its partner as at a start (`Endpoint::meet_while_fenced`).
#[test]
fn seed_56808_a_fenced_server_meets_its_partner() {
    holds_with_all_faults(56808);
}

/// A fenced server heard of PartnerDown and lost the connection before its partner heard of it. It renewed leases
/// as in any conflict, while the partner's waits ran out (`Endpoint::is_conflict_one_sided`).
#[test]
fn seed_11287_a_conflict_of_which_only_one_knows() {
    holds_with_all_faults(11287);
}

/// The survivor of a PartnerDown paused, lost its volume and came back; the fenced partner knew nothing of its
/// leases, and their addresses were free on both (`HoldReason::PartnerDownLost`).
#[test]
fn seed_3856_a_survivor_loses_what_it_granted_alone() {
    holds_with_all_faults(3856);
}

/// A returning server waited for ever for the answer to an update that what its partner said meanwhile had settled.
/// Now the exit barrier looks at the records as well (`Server::check_barrier`).
#[test]
fn seed_57099_the_exit_barrier_waits_for_what_is_open_only() {
    holds_with_all_faults(57099);
}

/// A fenced server was stopped while it sought its partner. The stop was taken for the end of its service, so at its
/// next start it seemed to have served beside a partner in PartnerDown (`Server::next_step`).
#[test]
fn seed_80326_a_stop_of_a_silent_server_ends_no_service() {
    holds_with_all_faults(80326);
}

/// A pool was taken away and given back, so that an address was abandoned at one server and leased by the other. The
/// first refused that lease, and its time-out gave the address to somebody else while the lease ran
/// (`binding::hold::leased_although_abandoned`).
#[test]
fn seed_96306_abandoned_here_and_leased_there() {
    holds_with_all_faults(96306);
}

/// Both servers were restarted twice while they did not hear each other. The operator had confirmed the first start,
/// and what it saw of that one was more than that start had loaded, so the second looked like a restored backup: both
/// gave their leases up (`Record::unseen`).
#[test]
fn seed_518926_the_operator_saw_more_than_an_earlier_start_had_loaded() {
    holds_with_all_faults(518_926);
}

/// Both stores were lost, and leases were made shorter before the servers met: they waited for the new length only
/// (`Endpoint::leases_last`).
#[test]
fn seed_500593_leases_of_a_longer_policy_are_waited_for() {
    holds_with_all_faults(500_593);
}

/// A client came back for its expired lease in the last moment of a server that then lost its volume; the survivor
/// waited for what had been promised before that only (`binding::amnesia_hold`).
#[test]
fn seed_567393_the_last_moment_of_a_lost_server_counts() {
    holds_with_all_faults(567_393);
}

/// A lease that was freed in PartnerDown was still counted on by the partner, whose word for the same client then
/// made this server forget what it had promised (`binding::merge`).
#[test]
fn seed_145465_what_was_freed_alone_is_still_promised() {
    holds_with_all_faults(145_465);
}

/// A server lost its volume and with it a renewal; the survivor held the lease until that was over. But it forgot the
/// hold when it left a PartnerDown in between (`Record::amnesia_until`).
#[test]
fn seed_638554_a_hold_from_a_loss_outlasts_a_later_partner_down() {
    holds_with_all_faults(638_554);
}

/// Both stores were lost, and a server let a client keep an address that was its partner's, which gave it away once
/// the hold was over, not having heard of that (`binding::may_adopt`).
#[test]
fn seed_2838_only_its_owner_lets_a_client_keep_an_unknown_address() {
    holds_with_all_faults(2838);
}

/// A primary was taking an address back that its secondary had just leased, when that lost its volume; the empty
/// secondary agreed, and the primary gave the address away (`binding::amnesia_hold`).
#[test]
fn seed_715818_what_is_taken_back_from_a_lost_server_is_held() {
    holds_with_all_faults(715_818);
}

/// A client released its address at the secondary. The primary freed it and leased it to another client, the link broke
/// before the secondary heard of that, and in PartnerDown it gave the address back to the first client
/// (`binding::may_lease`).
#[test]
fn seed_924922_what_the_primary_may_have_freed_waits_for_its_own_client_too() {
    holds_with_all_faults(924_922);
}

/// A client declined at one server, an operator reset the address there, and the client went on to renew at the other
/// server, whose word then made the first forget what it had promised (`binding::merge`).
#[test]
fn seed_1032455_an_abandoned_address_that_is_reset_is_still_promised() {
    holds_with_all_faults(1_032_455);
}

/// A server lost its volume, and with it a lease that nobody else knew; the survivor held the address. Then the survivor
/// lost its own, and fetched the address from the first one, which knew of no hold (`binding::tell_hold`).
#[test]
fn seed_1039958_a_hold_outlasts_the_loss_of_who_held() {
    holds_with_all_faults(1_039_958);
}

/// An operator reset an address that nobody used, and within the second its client came back at the other server
/// (`binding::reset`).
#[test]
fn seed_1087254_a_client_that_is_seen_in_the_second_of_a_reset_keeps_its_lease() {
    holds_with_all_faults(1_087_254);
}

/// A server lost its store, heard of half of the requests again, and was restarted: it took what it knew for all that
/// there was, and carried out one that it had carried out before (`Record::requests_unheard`).
#[test]
fn seed_1906_a_ledger_that_was_heard_in_part_is_not_whole() {
    holds_with_all_faults(1906);
}

/// A server that was told to stay apart turned out to have an old store, and stayed apart, so it could not fetch what
/// it lacked, nor hear which requests it had carried out (`Endpoint::recover_everything`).
#[test]
fn seed_2199_who_must_fetch_everything_hears_its_partner() {
    holds_with_all_faults(2199);
}

/// A lone survivor was restarted twice, and an operator without memory said of the second start what that had loaded:
/// more than the first one, so the survivor took its store for an old copy and gave its leases up
/// (`ServerReport::loaded`).
#[test]
fn seed_3202_an_operator_without_memory_confirms_the_earliest_start() {
    holds_with_all_faults(3202);
}

/// A client declined at one server and came back at the other within the second; the word of the decline made that one
/// forget the lease, and the address returned to service while it ran (`binding::merge`).
#[test]
fn seed_4574_a_client_that_comes_back_in_the_second_of_its_decline_is_remembered() {
    holds_with_all_faults(4574);
}

/// A survivor in PartnerDown leased an address again whose lease was over, and lost its volume. Its partner held all
/// addresses, but had the old lease as active still, and gave it to the old client (`binding::may_lease`).
#[test]
fn seed_5013957_in_a_hold_a_lease_that_is_over_is_not_renewed() {
    holds_with_all_faults(5_013_957);
}

/// A survivor in PartnerDown leased an address anew that its client had given up there, and lost its volume. The partner
/// had the old lease as active still, and gave it to the old client, who came for any address (`Serving::claimed`).
#[test]
fn seed_6055974_in_a_hold_a_client_that_looks_for_any_address_gets_none() {
    holds_with_all_faults(6_055_974);
}

/// An address was held for what a server that lost its volume had promised its last client. That client had a shorter
/// lease again, and after that the address was another's, while the first promise ran (`binding::grant`).
#[test]
fn seed_6022103_a_hold_outlives_a_new_lease_of_the_same_client() {
    holds_with_all_faults(6_022_103);
}

/// A client released at the primary, whose clock was ahead, and had its address again from the secondary within the
/// second. The release won the duel (decision 025).
#[test]
fn seed_1505_a_release_gives_way_to_a_lease_of_the_same_moment() {
    holds_in_any_weather(1505);
}

/// A server on an old copy of its store kept old leases that its partner had ended, refused to hear of their end, and
/// counted on promises that the partner had forgotten (decision 026).
#[test]
fn seeds_172_and_1111_an_old_copy_of_a_store_is_overruled() {
    holds_in_any_weather(172);
    holds_in_any_weather(1111);
}

/// The same with an old state: the partner saw PartnerDown, and both resolved a conflict in which the old copy stood.
#[test]
fn seeds_24810_and_37782_an_old_copy_is_overruled_in_a_conflict_too() {
    holds_in_any_weather(24_810);
    holds_in_any_weather(37_782);
}

/// An address was abandoned at the secondary and leased at the primary, who was refused with "abandoned" for ever and
/// was never told so (`Server::judge_update`).
#[test]
fn seed_38374_whoever_is_refused_for_an_abandoned_address_is_told_of_it() {
    holds_in_any_weather(38_374);
}

/// A connection came up at both ends and broke before the survivor had heard the other's state. That one had waited long
/// enough meanwhile and renewed leases, as it heard the survivor, who counted it as silent (`Endpoint::link_up`).
#[test]
fn seed_81087_a_connection_on_which_nothing_was_heard_counts_too() {
    holds_in_any_weather(81_087);
}

/// A release that the partner had been told of, and had leased the address after, was reset by an operator while the link
/// was down. The reset counted as never told, so the old client had the address again (`binding::reset`).
#[test]
fn seed_79890_a_reset_does_not_make_a_told_release_untold() {
    holds_in_any_weather(79_890);
}

/// An old copy had been made in a recovery, and said when that one had begun. So the server did not wait for what it had
/// granted since (`Endpoint::fall_back`).
#[test]
fn seed_83240_an_old_copy_of_a_recovery_waits_anew() {
    holds_in_any_weather(83_240);
}

/// The partner had been alone and leased an address to somebody else, whose lease ended. A server that came back refused to
/// hear of that end, as its old lease of another client ran on, and renewed that one (`binding::judge`).
#[test]
fn seed_5533_an_end_of_a_later_client_of_a_lone_partner_ends_the_earlier_lease_too() {
    holds_in_any_weather(5533);
}

/// Both recovered at the same time, the server came to the end first, and the dhcpd, which asks for updates when it hears
/// of Recover only, waited for ever (`guard::to_isc`).
#[test]
fn seed_4589_a_dhcpd_in_recover_hears_of_recover_before_what_follows() {
    holds_in_any_weather(4589);
}

/// A lease began and ended while the link was down, and the dhcpd primary, which alone ends leases in Normal, had never
/// heard of it (`binding::is_withheld`).
#[test]
fn seed_7367_a_dhcpd_that_ends_no_lease_is_told_of_its_end() {
    holds_in_any_weather(7367);
}

/// A dhcpd in a conflict was answered its request and told Paused in one breath, which ended its process
/// (`guard::to_isc`).
#[test]
fn seed_13341_paused_is_not_said_to_a_dhcpd_in_a_conflict() {
    holds_in_any_weather(13_341);
}

/// The clocks differed by most of a minute, so a release at the dhcpd was refused for ever (`binding::conflict`).
#[test]
fn seed_13966_a_release_counts_once_its_lease_is_over_whatever_the_clocks_say() {
    holds_in_any_weather(13_966);
}

/// A dhcpd primary lost its lease file and with it a renewal. The survivor held that lease from others, but told in
/// PartnerDown that it was over, and the dhcpd, which hears of no hold, gave the address away (`Server::expire_leases`).
#[test]
fn seed_66479_what_is_held_for_a_dhcpd_that_lost_its_file_does_not_end_early() {
    holds_in_any_weather(66_479);
}

/// An old copy had been made in a recovery, before anybody had confirmed the store. It counted as an empty one, and the
/// server did not wait for what it had granted since (`Endpoint::fall_back`).
#[test]
fn seed_926795_an_old_copy_of_a_store_that_nobody_had_confirmed_waits_anew() {
    holds_in_any_weather(926_795);
}

/// A lease was released at a server, freed and leased again by its partner, which then lost its data. The server held the
/// old lease as Active, and renewed it for its client, who looked for any address (`binding::may_lease`).
#[test]
fn seed_928967_a_lease_that_is_active_again_goes_only_to_a_client_that_claims_it() {
    holds_in_any_weather(928_967);
}

/// A primary alone freed a lease of which it had told its partner, without an answer. The partner renewed it and lost its data
/// (`Lease::is_untold`).
#[test]
fn seed_105383_what_the_partner_was_told_without_an_answer_is_held_too() {
    holds_in_any_weather(105_383);
}

/// A dhcpd told of a lease with a smaller potential than it had acknowledged, and our answer made it forget that one; it
/// gave the address away when we had lost our data (`binding::merge`).
#[test]
fn seed_3922_a_dhcpd_is_told_again_what_our_answer_made_it_forget() {
    holds_in_any_weather(3922);
}

/// A dhcpd took a BACKUP that was told again over the lease that it had granted while the link was down
/// (`Server::ends_wait`).
#[test]
fn seed_1017767_a_dhcpd_has_told_its_leases_before_it_is_told_of_shares() {
    holds_in_any_weather(1_017_767);
}

/// One clock was most of a minute ahead. A release at that server won its duel with the lease that the client got at the
/// other one afterwards (decision 029).
#[test]
fn seeds_2005_and_4055_a_duel_compares_contacts_by_one_clock() {
    holds_in_any_weather(2005);
    holds_in_any_weather(4055);
}

/// A dhcpd whose clock was ahead told of an old release after our client had come back (`conflict::released_by_isc`).
#[test]
fn seed_5005496_a_release_by_another_clock_counts_beyond_the_doubt() {
    holds_in_any_weather(5_005_496);
}

/// Our secondary lost its store, with a lease that nobody else knew, and agreed that an older lease of the address was over. The
/// dhcpd gave it away (`conflict::may_have_leased_since`).
#[test]
fn seeds_5044883_and_5300280_an_end_is_not_confirmed_by_who_lost_its_leases() {
    holds_in_any_weather(5_044_883);
    holds_in_any_weather(5_300_280);
}

/// In RecoverDone, on the second connection, a dhcpd was told of an end whose address it had leased again
/// (`Server::ask_before_ends`). Then nobody asked for its news, and RecoverDone lasted for ever.
#[test]
fn seeds_5365815_and_5030874_a_dhcpd_tells_its_news_before_ends_are_told_in_recover_done_too() {
    holds_in_any_weather(5_365_815);
    holds_in_any_weather(5_030_874);
}

/// A dhcpd leased its address to the next client by the potential that we had acknowledged for the last one, and died or lost
/// its file before it told of that (`merge::promised_to_anybody`).
#[test]
fn seeds_5077151_6480702_and_8000375_what_a_dhcpd_was_promised_for_a_client_it_uses_for_the_next() {
    holds_in_any_weather(5_077_151);
    holds_in_any_weather(6_480_702);
    holds_in_any_weather(8_000_375);
}

/// UPDREQ was said before the first STATE of a connection. A dhcpd answered, and heard of Recover only then (`Server::say_state_before_anything`).
#[test]
fn seed_6185344_the_first_word_of_a_connection_is_the_state() {
    holds_in_any_weather(6_185_344);
}

/// Recover was ordered while a dhcpd was on its way into a conflict (`link::Registered::conflict_said`).
#[test]
fn seed_6706274_a_dhcpd_that_was_told_of_a_conflict_counts_as_in_it() {
    holds_in_any_weather(6_706_274);
}

/// A dhcpd without a file entered a conflict, lost the connection, and asked for the rest on the next one (`Exchange::isc_lost_all`).
#[test]
fn seed_6772325_a_dhcpd_without_a_file_is_told_all_on_the_next_connection_too() {
    holds_in_any_weather(6_772_325);
}

/// A dhcpd in ConflictDone served nobody, ended nothing, and told of a lease that was over (`conflict::two_holders`).
#[test]
fn seed_5035157_a_lease_that_is_over_does_not_replace_one_that_runs() {
    holds_in_any_weather(5_035_157);
}

/// A server was ordered into Recover, and then into PartnerDown without its data. What it leased there counted as an old copy
/// when the partner came back (`Rule::LeasedSinceLoss`).
#[test]
fn seed_6179055_what_was_leased_after_a_loss_is_no_old_copy() {
    holds_in_any_weather(6_179_055);
}

/// Two clocks were 42 s apart. Each server corrected by its own measure until when a declined address had been promised, found the
/// other's word too low, and said so, for ever (`merge::tolerance`).
#[test]
fn seed_7001424_two_clocks_do_not_argue_about_a_second() {
    holds_in_any_weather(7_001_424);
}

/// The link of a survivor and its partner in RecoverWait went dead unnoticed. The partner entered RecoverDone and renewed a lease
/// before it noticed, and the survivor counted from when it was declared alone (`Endpoint::told_everything`).
#[test]
fn seed_8016321_a_partner_may_renew_before_it_is_heard_in_recover_done() {
    holds_in_any_weather(8_016_321);
}

/// A server met its partner where that was to be let go from, and served as it was in contact again. The partner did not hear it,
/// and the grant that had been ordered before came (`Endpoint::is_fenced`). Later, a fence of a store that was lost silenced its
/// partner for ever (9711471), and one of a partner in RecoverDone for longer than clients can wait (9707736). One that had not been
/// confirmed since its start named its change by the epoch of its store (9809214).
#[test]
fn seeds_8006912_9711471_9707736_and_9809214_contact_alone_ends_no_fence() {
    holds_in_any_weather(9_809_214);
    holds_in_any_weather(8_006_912);
    holds_in_any_weather(9_711_471);
    holds_in_any_weather(9_707_736);
}

/// A server heard at its start that the dhcpd was alone, and recovered. Once in Normal it gave an address to a new client that the
/// dhcpd had leased meanwhile and not told of yet (`Record::unsettled`).
#[test]
fn seed_9211780_who_recovers_by_the_first_word_of_a_dhcpd_waits_for_its_news() {
    holds_in_any_weather(9_211_780);
}

/// The simulated operator declared a partner down while its last word was under way to a dhcpd, which ended by it.
#[test]
fn seed_9000339_nobody_is_declared_down_to_a_dhcpd_that_may_hear_it_still() {
    holds_in_any_weather(9_000_339);
}

/// A dhcpd uses an abandoned address again at the end that comes with it, and was told the time of the decline (837). An end
/// that was over by then is no better. One that ended it told nobody, as it was started again (551, 1857).
#[test]
fn seeds_837_551_and_1857_a_dhcpd_is_told_until_when_an_address_is_out_of_use() {
    holds_in_any_weather(837);
    holds_in_any_weather(551);
    holds_in_any_weather(1857);
}

/// A server lost its store after the MCLT had been lowered, and waited for its leases by the one of today (`MaxLead::told`).
#[test]
fn seed_9746616_who_lost_its_store_is_told_of_the_mclt_before() {
    holds_in_any_weather(9_746_616);
}

/// A process stood still after it had said Shutdown. Its farewell on the dead link was taken for a Shutdown that nobody had heard, and
/// it served beside the partner that had taken over (`Session::owes_state`).
#[test]
fn seed_9747174_a_shutdown_that_was_said_counts_whatever_waits_behind_it() {
    holds_in_any_weather(9_747_174);
}

/// A client got its lease again after a reset, and the answer from before left when the disk knew of the reset only (`Gate::revoke`).
#[test]
fn seed_9903439_an_answer_does_not_come_back_with_its_lease() {
    holds_in_any_weather(9_903_439);
}

/// Both stores had been lost, and the changes of the new ones were counted from the beginning again. The secondary's fence, which
/// only the cluster remembered, named a change of the primary's old store: later than any of the new one for as long as it would
/// run. So the secondary, in Normal with it for minutes, answered nobody as soon as the link was cut, and could not be let go.
/// Found by the last act of a seed, in which one server dies and the other must serve everybody. Now whoever holds a fence tells
/// it, as the specification has it, and a server whose store never made that change numbers its own beyond it (decision 030).
#[test]
fn seed_10924_a_fence_of_another_life_silences_nobody() {
    holds_in_any_weather(10924);
}

/// An address was reserved by a configuration that the primary had and the secondary had not yet, which told meanwhile that
/// the lease there was over. That word said nothing of a reservation, and so cancelled it: from then on the primary took the
/// address for anybody's, until its next configuration. Now a mark goes by the own configuration only.
#[test]
fn reckless_seed_612_a_partner_that_does_not_know_of_a_reservation_yet_does_not_cancel_it() {
    play(Plan::reckless(612));
}
