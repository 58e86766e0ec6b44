// Drives @xmpp/client: Romeo and Juliet meet, talk, leave, come back.
//
// Where the server is comes from the environment. Writes `ok NAME` or `not ok NAME: WHY` per check.
// Every wait is for an event, with a deadline; no check sleeps.

import { client, xml } from "@xmpp/client";

const { XMPP_DOMAIN, XMPP_HOST, XMPP_PORT, XMPP_TLS_PORT, XMPP_PASSWORD } = process.env;
const STARTTLS = `xmpp://${XMPP_HOST}:${XMPP_PORT}`;
const DIRECT_TLS = `xmpps://${XMPP_HOST}:${XMPP_TLS_PORT}`;

// Milliseconds any one event may take.
const PATIENCE = 15_000;

// The server made its own certificate; the library has no setting of its own for that.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
process.removeAllListeners("warning");

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A session whose stanzas can be awaited one by one. */
class Session {
  constructor(local, resource, service = STARTTLS, password = XMPP_PASSWORD) {
    const username = local;
    this.xmpp = client({ service, domain: XMPP_DOMAIN, resource, username, password });
    this.inbox = [];
    this.waiting = [];
    this.xmpp.on("error", () => {});
    this.xmpp.on("stanza", (stanza) => {
      const at = this.waiting.findIndex(({ wanted }) => wanted(stanza));
      if (at < 0) return this.inbox.push(stanza);
      this.waiting.splice(at, 1)[0].resolve(stanza);
    });
  }

  async login() {
    // COMPAT(@xmpp/client 0.14): what start() promises is lost where the server's header comes
    // before the callback of the write that asked for it, as it may on a loopback connection.
    const online = new Promise((resolve) => this.xmpp.once("online", resolve));
    this.xmpp.start().catch(() => {});
    this.jid = await within(online, "the session");
    return this;
  }

  async available() {
    await this.xmpp.send(xml("presence"));
    await this.next((s) => s.is("presence") && s.attrs.from === this.jid.toString());
    return this;
  }

  next(wanted) {
    const at = this.inbox.findIndex(wanted);
    if (at >= 0) return Promise.resolve(this.inbox.splice(at, 1)[0]);
    return within(new Promise((resolve) => this.waiting.push({ wanted, resolve })), "a stanza");
  }

  message(body) {
    return this.next((s) => s.is("message") && s.getChildText("body") === body);
  }

  chat(to, body) {
    return this.xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  }

  get(payload, to) {
    return this.xmpp.iqCaller.request(xml("iq", { type: "get", to }, payload), PATIENCE);
  }

  set(payload, to) {
    return this.xmpp.iqCaller.request(xml("iq", { type: "set", to }, payload), PATIENCE);
  }

  logout() {
    return within(this.xmpp.stop(), "the end");
  }
}

function equal(actual, expected) {
  if (actual !== expected) throw new Error(`${actual} in place of ${expected}`);
}

const juliet = `juliet@${XMPP_DOMAIN}`;
const romeo = `romeo@${XMPP_DOMAIN}`;
const nurse = `nurse@${XMPP_DOMAIN}`;

const checks = {
  async starttls() {
    const session = await new Session("romeo", "orchard").login();
    equal(session.jid.bare().toString(), romeo);
    await session.logout();
  },

  async "direct-tls"() {
    const session = await new Session("romeo", "orchard", DIRECT_TLS).login();
    await session.logout();
  },

  async "wrong-password"() {
    const session = new Session("romeo", "orchard", STARTTLS, "rosaline");
    session.xmpp.reconnect.stop();
    const condition = await within(
      session.xmpp.start().then(() => "success", (error) => error.condition),
      "the failure",
    );
    equal(condition, "not-authorized");
    await session.logout();
  },

  async roster() {
    const session = await new Session("romeo", "orchard").login();
    const query = (...children) => xml("query", { xmlns: "jabber:iq:roster" }, ...children);
    await session.get(query());
    await session.set(query(xml("item", { jid: nurse, name: "Nurse" })));
    const push = await session.next(
      (s) => s.is("iq") && s.attrs.type === "set" && s.getChild("query", "jabber:iq:roster"),
    );
    equal(push.getChild("query").getChild("item").attrs.name, "Nurse");
    const answer = await session.get(query());
    const item = answer.getChild("query").getChildren("item").find((i) => i.attrs.jid === nurse);
    equal(item.attrs.subscription, "none");
    await session.set(query(xml("item", { jid: nurse, subscription: "remove" })));
    await session.logout();
  },

  async "subscription-and-presence"() {
    const one = await new Session("romeo", "orchard").login();
    const other = await new Session("juliet", "balcony").login();
    for (const session of [one, other]) {
      await session.get(xml("query", { xmlns: "jabber:iq:roster" }));
      await session.available();
    }
    const from = (bare, type) => (s) =>
      s.is("presence") && s.attrs.from?.startsWith(bare) && s.attrs.type === type;
    await one.xmpp.send(xml("presence", { to: juliet, type: "subscribe" }));
    await other.next(from(romeo, "subscribe"));
    await other.xmpp.send(xml("presence", { to: romeo, type: "subscribed" }));
    await one.next(from(juliet, "subscribed"));
    await one.next(from(`${juliet}/`, undefined));
    await other.logout();
    await one.next(from(`${juliet}/`, "unavailable"));
    await one.logout();
  },

  async "chat-both-ways"() {
    const one = await (await new Session("romeo", "orchard").login()).available();
    const other = await (await new Session("juliet", "balcony", DIRECT_TLS).login()).available();
    await one.chat(juliet, "It is the east ☀");
    const heard = await other.message("It is the east ☀");
    equal(heard.attrs.from, one.jid.toString());
    await other.chat(heard.attrs.from, "Ay <me> & \"thee\"");
    await one.message("Ay <me> & \"thee\"");
    await one.logout();
    await other.logout();
  },

  async carbons() {
    const one = await (await new Session("romeo", "orchard").login()).available();
    const phone = await (await new Session("romeo", "phone").login()).available();
    const other = await (await new Session("juliet", "balcony").login()).available();
    const ns = "urn:xmpp:carbons:2";
    await one.set(xml("enable", { xmlns: ns }));
    await phone.set(xml("enable", { xmlns: ns }));
    const copy = (kind, body) => (s) =>
      s.getChild(kind, ns)?.getChild("forwarded")?.getChild("message")?.getChildText("body") === body;
    await other.chat(one.jid.toString(), "To the orchard");
    await one.message("To the orchard");
    equal((await phone.next(copy("received", "To the orchard"))).attrs.from, romeo);
    await one.chat(juliet, "From the orchard");
    await phone.next(copy("sent", "From the orchard"));
    for (const session of [one, phone, other]) await session.logout();
  },

  async offline() {
    const one = await new Session("romeo", "orchard").login();
    await one.chat(nurse, "Commend me");
    await one.logout();
    const other = await new Session("nurse", "chamber").login();
    await other.xmpp.send(xml("presence"));
    const kept = await other.message("Commend me");
    equal(Boolean(kept.getChild("delay", "urn:xmpp:delay")?.attrs.stamp), true);
    await other.logout();
  },

  async resume() {
    const one = await (await new Session("romeo", "orchard").login()).available();
    const other = await (await new Session("juliet", "balcony").login()).available();
    equal(one.xmpp.streamManagement.enabled, true);
    const resumed = new Promise((resolve) => one.xmpp.streamManagement.once("resumed", resolve));
    const lost = new Promise((resolve) => one.xmpp.once("disconnect", resolve));
    one.xmpp.socket.socket.destroy();
    await within(lost, "the loss");
    await other.chat(one.jid.toString(), "While you were out");
    await within(resumed, "the resumption");
    await one.message("While you were out");
    await one.logout();
    await other.logout();
  },

  async services() {
    const session = await (await new Session("romeo", "orchard").login()).available();
    const info = await session.get(
      xml("query", { xmlns: "http://jabber.org/protocol/disco#info" }),
      XMPP_DOMAIN,
    );
    const identity = info.getChild("query").getChild("identity").attrs;
    equal(`${identity.category}/${identity.type}`, "server/im");
    await session.get(xml("ping", { xmlns: "urn:xmpp:ping" }), XMPP_DOMAIN);
    const refused = await session
      .get(xml("unknown", { xmlns: "urn:example:unknown" }), XMPP_DOMAIN)
      .then(() => "result", (error) => error.condition);
    equal(refused, "service-unavailable");
    await session.logout();
  },
};

const wanted = process.argv.slice(2);
for (const [name, check] of Object.entries(checks)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name}: ${error.message}`);
  }
}
// Sessions of failed checks would keep the process alive.
process.exit(0);
