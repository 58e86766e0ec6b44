"""Drives slixmpp: Romeo and Juliet meet, talk, leave, come back.

Where the server is comes from the environment. Writes `ok NAME` or `not ok NAME: WHY` per check.
Every wait is for an event, with a deadline; no check sleeps.
"""

import asyncio
import os
import ssl
import sys
import traceback
from datetime import datetime

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

DOMAIN = os.environ["XMPP_DOMAIN"]
HOST = os.environ["XMPP_HOST"]
STARTTLS_PORT = int(os.environ["XMPP_PORT"])
DIRECT_TLS_PORT = int(os.environ["XMPP_TLS_PORT"])
PASSWORD = os.environ["XMPP_PASSWORD"]

# Seconds any one event may take.
PATIENCE = 15


def any_certificate():
    """The server made its own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client(ClientXMPP):
    """A session whose events can be awaited one by one."""

    def __init__(self, local, resource, mechanism=None, direct_tls=False, plugins=()):
        super().__init__(
            f"{local}@{DOMAIN}/{resource}",
            PASSWORD,
            ssl_context=any_certificate(),
            sasl_mech=mechanism,
        )
        self.auto_authorize = None
        self.auto_subscribe = False
        self.enable_direct_tls = direct_tls
        self.enable_starttls = not direct_tls
        for plugin in plugins:
            self.register_plugin(plugin)
        self.seen = {}
        for event in (
            "session_start", "session_resumed", "disconnected", "failed_auth", "message",
            "changed_subscription", "presence_available", "presence_unavailable",
            "presence_away", "presence_subscribe", "presence_subscribed", "roster_update", "stream_error",
            "carbon_received", "carbon_sent", "sm_enabled", "blocked", "stanza_acked",
        ):
            self.seen[event] = asyncio.Queue()
            self.add_event_handler(event, self.seen[event].put_nowait)

    @property
    def port(self):
        return DIRECT_TLS_PORT if self.enable_direct_tls else STARTTLS_PORT

    async def next(self, event, wanted=lambda data: True):
        """The next event of this name for which `wanted` holds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                data = await self.seen[event].get()
                if wanted(data):
                    return data

    async def login(self):
        self.connect(HOST, self.port)
        await self.next("session_start")
        return self

    async def available(self):
        self.send_presence()
        await self.next("presence_available", lambda p: p["from"] == self.boundjid)
        return self

    async def logout(self):
        self.disconnect(wait=PATIENCE)
        await self.next("disconnected")


def from_user(local):
    return lambda stanza: stanza["from"].user == local


async def starttls_scram():
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        romeo = await Client("romeo", "orchard", mechanism).login()
        assert romeo.boundjid.full == f"romeo@{DOMAIN}/orchard", romeo.boundjid
        await romeo.logout()


async def direct_tls():
    romeo = await Client("romeo", "orchard", direct_tls=True).login()
    await romeo.logout()


async def wrong_password():
    romeo = Client("romeo", "orchard", "SCRAM-SHA-256")
    romeo.password = romeo.credentials["password"] = "rosaline"
    romeo.connect(HOST, romeo.port)
    failure = await romeo.next("failed_auth")
    assert failure["condition"] == "not-authorized", failure
    romeo.abort()


async def roster():
    romeo = await Client("romeo", "orchard").login()
    await romeo.get_roster()
    nurse = f"nurse@{DOMAIN}"
    await romeo.update_roster(nurse, name="Nurse", groups=["Capulet"])
    again = await Client("romeo", "later").login()
    answer = await again.get_roster()
    item = answer["roster"]["items"][nurse]
    assert (item["name"], item["groups"]) == ("Nurse", ["Capulet"]), item
    await again.del_roster_item(nurse)
    pushed = lambda iq: nurse in iq["roster"]["items"]
    push = await romeo.next("roster_update", lambda iq: iq["type"] == "set" and pushed(iq)
                            and iq["roster"]["items"][nurse]["subscription"] == "remove")
    assert push is not None
    await romeo.logout()
    await again.logout()


async def subscription_and_presence():
    romeo = await Client("romeo", "orchard").login()
    juliet = await Client("juliet", "balcony").login()
    for someone in (romeo, juliet):
        await someone.get_roster()
        await someone.available()
    romeo.send_presence_subscription(pto=juliet.boundjid.bare)
    await juliet.next("presence_subscribe", from_user("romeo"))
    juliet.send_presence_subscription(pto=romeo.boundjid.bare, ptype="subscribed")
    await romeo.next("presence_subscribed", from_user("juliet"))
    here = await romeo.next("presence_available", from_user("juliet"))
    assert here["from"] == juliet.boundjid, here
    juliet.send_presence(pshow="away", pstatus="Nurse calls")
    away = await romeo.next("presence_away", from_user("juliet"))
    assert (away["show"], away["status"]) == ("away", "Nurse calls"), away
    await juliet.logout()
    await romeo.next("presence_unavailable", from_user("juliet"))
    await romeo.logout()


async def chat_both_ways():
    romeo = await (await Client("romeo", "orchard").login()).available()
    juliet = await (await Client("juliet", "balcony", direct_tls=True).login()).available()
    romeo.send_message(mto=juliet.boundjid.bare, mbody="It is the east ☀", mtype="chat")
    heard = await juliet.next("message", from_user("romeo"))
    assert heard["body"] == "It is the east ☀", heard
    heard.reply("Ay <me> & \"thee\"").send()
    answer = await romeo.next("message", from_user("juliet"))
    assert answer["body"] == "Ay <me> & \"thee\"", answer
    for number in range(200):
        romeo.send_message(mto=juliet.boundjid, mbody=str(number), mtype="chat")
    for number in range(200):
        heard = await juliet.next("message")
        assert heard["body"] == str(number), f"{heard['body']} came in place of {number}"
    await romeo.logout()
    await juliet.logout()


async def carbons():
    plugins = ["xep_0280"]
    romeo = await (await Client("romeo", "orchard", plugins=plugins).login()).available()
    phone = await (await Client("romeo", "phone", plugins=plugins).login()).available()
    juliet = await (await Client("juliet", "balcony").login()).available()
    for session in (romeo, phone):
        await session["xep_0280"].enable()
    juliet.send_message(mto=romeo.boundjid, mbody="To the orchard", mtype="chat")
    assert (await romeo.next("message"))["body"] == "To the orchard"
    copy = await phone.next("carbon_received")
    assert copy["carbon_received"]["body"] == "To the orchard", copy
    romeo.send_message(mto=juliet.boundjid, mbody="From the orchard", mtype="chat")
    copy = await phone.next("carbon_sent")
    assert copy["carbon_sent"]["body"] == "From the orchard", copy
    for session in (romeo, phone, juliet):
        await session.logout()


async def offline():
    romeo = await Client("romeo", "orchard").login()
    romeo.send_message(mto=f"nurse@{DOMAIN}", mbody="Commend me", mtype="chat")
    await romeo.logout()
    nurse = await Client("nurse", "chamber", plugins=["xep_0203"]).login()
    nurse.send_presence()
    kept = await nurse.next("message", from_user("romeo"))
    assert kept["body"] == "Commend me" and kept["delay"]["stamp"], kept
    await nurse.logout()
    nurse = await (await Client("nurse", "chamber").login()).available()
    # The answer to a ping comes behind whatever was on its way.
    await nurse.make_iq_get(queryxmlns="jabber:iq:version", ito=DOMAIN).send(timeout=PATIENCE)
    assert nurse.seen["message"].empty(), "it came a second time"
    await nurse.logout()


async def stream_management_and_resume():
    plugins = ["xep_0198"]
    romeo = await Client("romeo", "orchard", plugins=plugins).login()
    await romeo.next("sm_enabled")
    await romeo.available()
    juliet = await (await Client("juliet", "balcony").login()).available()
    romeo.abort()
    await romeo.next("disconnected")
    juliet.send_message(mto=romeo.boundjid, mbody="While you were out", mtype="chat")
    await juliet.make_iq_get(queryxmlns="jabber:iq:version", ito=DOMAIN).send(timeout=PATIENCE)
    romeo.connect(HOST, romeo.port)
    await romeo.next("session_resumed")
    heard = await romeo.next("message", from_user("juliet"))
    assert heard["body"] == "While you were out", heard
    romeo.send_message(mto=juliet.boundjid, mbody="I am back", mtype="chat")
    assert (await juliet.next("message"))["body"] == "I am back"
    await romeo.logout()
    await juliet.logout()


async def services():
    names = ["xep_0030", "xep_0049", "xep_0054", "xep_0092", "xep_0191", "xep_0199", "xep_0202"]
    romeo = await (await Client("romeo", "orchard", plugins=names).login()).available()
    info = await romeo["xep_0030"].get_info(DOMAIN, timeout=PATIENCE)
    kinds = {identity[:2] for identity in info["disco_info"]["identities"]}
    assert ("server", "im") in kinds, kinds
    assert "urn:xmpp:ping" in info["disco_info"]["features"]
    assert await romeo["xep_0199"].ping(DOMAIN, timeout=PATIENCE) is not None
    version = await romeo["xep_0092"].get_version(DOMAIN, timeout=PATIENCE)
    assert version["software_version"]["name"] == "Jackdaw", version
    time = await romeo["xep_0202"].get_entity_time(DOMAIN, timeout=PATIENCE)
    # slixmpp 1.17 appends another Z before it reads the text, so its own accessor always fails.
    utc = time["entity_time"].xml.findtext("{urn:xmpp:time}utc")
    assert utc.endswith("Z") and datetime.fromisoformat(utc), utc
    card = romeo["xep_0054"].make_vcard()
    card["FN"] = "Romeo Montague"
    await romeo["xep_0054"].publish_vcard(card)
    stored = await romeo["xep_0054"].get_vcard(romeo.boundjid.bare, cached=False)
    assert stored["vcard_temp"]["FN"] == "Romeo Montague", stored
    await romeo["xep_0191"].block(f"tybalt@{DOMAIN}")
    blocked = {str(jid) for jid in await romeo["xep_0191"].get_blocked_jids()}
    assert blocked == {f"tybalt@{DOMAIN}"}, blocked
    await romeo["xep_0191"].unblock(f"tybalt@{DOMAIN}")
    try:
        await romeo.make_iq_get(queryxmlns="urn:example:unknown", ito=DOMAIN).send(timeout=PATIENCE)
        raise AssertionError("an unknown request was answered with a result")
    except IqError as error:
        assert error.condition == "service-unavailable", error.condition
    await romeo.logout()


CHECKS = (
    starttls_scram, direct_tls, wrong_password, roster, subscription_and_presence, chat_both_ways,
    carbons, offline, stream_management_and_resume, services,
)


async def main():
    wanted = sys.argv[1:]
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        if wanted and name not in wanted:
            continue
        try:
            await check()
            print(f"ok {name}", flush=True)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next(f.lineno for f in where if f.filename == __file__ and f.name != "main")
            print(f"not ok {name}: line {line}: {type(error).__name__} {error}", flush=True)


asyncio.run(main())
