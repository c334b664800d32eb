// An asker that is independent of the bot: matrix-js-sdk with its Rust crypto.
// One JSON object a line: commands on stdin ({number, as, call, ...}), answers ({reply, ...})
// and events ({event, as, ...}) on stdout.  Several users live in one process.

import readline from "node:readline";
import * as sdk from "matrix-js-sdk";
import {
  AllDevicesIsolationMode,
  EventShieldColour,
  EventShieldReason,
  OnlySignedDevicesIsolationMode,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

const emit = (line) => process.stdout.write(JSON.stringify(line) + "\n");
// The SDK logs to the console: stdout belongs to the protocol.
for (const name of ["log", "info", "debug", "trace", "warn", "error"]) {
  console[name] = process.env.DRIVER_DEBUG
    ? (...args) => process.stderr.write(args.map(String).join(" ") + "\n")
    : () => {};
}
logger.setLevel?.(process.env.DRIVER_DEBUG ? "debug" : "silent", false);

const clients = new Map();

async function report(as, event) {
  const client = clients.get(as);
  const info = event.isEncrypted()
    ? await client.getCrypto().getEncryptionInfoForEvent(event)
    : null;
  emit({
    event: "timeline",
    as,
    room: event.getRoomId(),
    id: event.getId(),
    sender: event.getSender(),
    type: event.getType(),
    wire_type: event.getWireType(),
    // the content as sent: aggregated edits must not hide what came over the wire
    content: event.getOriginalContent(),
    relates_to: event.getWireContent()["m.relates_to"] ?? null,
    failed: event.isDecryptionFailure(),
    shield: info ? EventShieldColour[info.shieldColour] : null,
    shield_reason: info && info.shieldReason !== null ? EventShieldReason[info.shieldReason] : null,
    redacts: event.event.redacts ?? event.getContent().redacts ?? null,
    state_key: event.getStateKey() ?? null,
  });
}

const calls = {
  async login({ as, homeserver, password, signed_only, crypto }) {
    const anonymous = sdk.createClient({ baseUrl: homeserver });
    const login = await anonymous.loginRequest({
      type: "m.login.password",
      identifier: { type: "m.id.user", user: as },
      password,
    });
    const client = sdk.createClient({
      baseUrl: homeserver,
      accessToken: login.access_token,
      userId: login.user_id,
      deviceId: login.device_id,
    });
    clients.set(as, client);
    if (crypto) {
      await client.initRustCrypto({ useIndexedDB: false });
      client
        .getCrypto()
        .setDeviceIsolationMode(
          signed_only ? new OnlySignedDevicesIsolationMode() : new AllDevicesIsolationMode(false),
        );
    }
    const synced = new Promise((resolve) => {
      client.on(sdk.ClientEvent.Sync, (state) => {
        if (state === "PREPARED") resolve();
      });
    });
    client.on(sdk.ClientEvent.Event, (event) => {
      if (!event.getRoomId() || !event.getId()) return;
      if (event.isEncrypted() && (event.isBeingDecrypted() || event.shouldAttemptDecryption())) return;
      void report(as, event);
    });
    client.on(sdk.MatrixEventEvent.Decrypted, (event) => void report(as, event));
    await client.startClient({ initialSyncLimit: 1 });
    await synced;
    if (crypto) {
      await client.getCrypto().bootstrapCrossSigning({
        setupNewCrossSigning: true,
        authUploadDeviceSigningKeys: async (upload) => {
          await upload({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: login.user_id },
            password,
          });
        },
      });
    }
    return { user: login.user_id, device: login.device_id };
  },

  async create({ as, options, direct }) {
    const client = clients.get(as);
    const { room_id } = await client.createRoom(options);
    if (direct) {
      const known = client.getAccountData("m.direct")?.getContent() ?? {};
      await client.setAccountData("m.direct", { ...known, [direct]: [...(known[direct] ?? []), room_id] });
    }
    // The SDK encrypts only once its own sync has shown it the room.
    while (!client.getRoom(room_id)) await new Promise((resolve) => client.once(sdk.ClientEvent.Room, resolve));
    return { room: room_id };
  },

  async send({ as, room, type, content }) {
    const { event_id } = await clients.get(as).sendEvent(room, type, content);
    return { id: event_id };
  },

  async send_state({ as, room, type, content }) {
    return { id: (await clients.get(as).sendStateEvent(room, type, content, "")).event_id };
  },

  // To every device of a user, unencrypted.
  async to_device({ as, user, type, content }) {
    await clients.get(as).sendToDevice(type, new Map([[user, new Map([["*", content]])]]));
    return {};
  },

  async redact({ as, room, id }) {
    return { id: (await clients.get(as).redactEvent(room, id)).event_id };
  },

  async invite({ as, room, user }) {
    await clients.get(as).invite(room, user);
    return {};
  },

  async join({ as, room }) {
    await clients.get(as).joinRoom(room);
    return {};
  },

  async leave({ as, room }) {
    await clients.get(as).leave(room);
    return {};
  },

  async upgrade({ as, room, version }) {
    return { room: (await clients.get(as).upgradeRoom(room, version)).replacement_room };
  },

  // Forget the outbound session, so that the next message is shared anew.
  async new_session({ as, room }) {
    await clients.get(as).getCrypto().forceDiscardSession(room);
    return {};
  },

  async devices({ as, user }) {
    const crypto = clients.get(as).getCrypto();
    const devices = (await crypto.getUserDeviceInfo([user], true)).get(user) ?? new Map();
    const list = [];
    for (const id of devices.keys()) {
      const status = await crypto.getDeviceVerificationStatus(user, id);
      list.push({ id, signed: Boolean(status?.signedByOwner) });
    }
    return { devices: list };
  },

  async logout({ as }) {
    const client = clients.get(as);
    clients.delete(as);
    client.stopClient();
    await client.logout(false);
    return {};
  },
};

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const command = JSON.parse(line);
  try {
    emit({ reply: command.number, ...(await calls[command.call](command)) });
  } catch (error) {
    emit({ reply: command.number, error: String(error?.stack ?? error) });
  }
});
lines.on("close", () => process.exit(0));
process.on("unhandledRejection", (error) => process.stderr.write(`${error?.stack ?? error}\n`));
emit({ event: "ready" });
