/** A browser for tests in Node.js: devices, streams and a peer connection that agrees to everything. Import it first. */

export class FakeTrack {
  readonly kind: "audio" | "video";
  enabled = true;
  readyState: "live" | "ended" = "live";
  readonly clones: FakeTrack[] = [];

  constructor(kind: "audio" | "video") {
    this.kind = kind;
  }

  stop(): void {
    this.readyState = "ended";
  }

  clone(): FakeTrack {
    const copy = new FakeTrack(this.kind);
    this.clones.push(copy);
    return copy;
  }

  addEventListener(): void {}
}

export class FakeStream {
  readonly #tracks: FakeTrack[];

  constructor(tracks: readonly FakeTrack[] = []) {
    this.#tracks = [...tracks];
  }

  getTracks(): FakeTrack[] {
    return [...this.#tracks];
  }

  getAudioTracks(): FakeTrack[] {
    return this.#tracks.filter(({ kind }) => kind === "audio");
  }

  getVideoTracks(): FakeTrack[] {
    return this.#tracks.filter(({ kind }) => kind === "video");
  }

  addTrack(track: FakeTrack): void {
    this.#tracks.push(track);
  }
}

interface Description {
  readonly type: string;
  readonly sdp: string;
}

interface FakeTransceiver {
  mid: string | null;
  direction: string;
  currentDirection: string | null;
  readonly sender: { track: FakeTrack | null; replaceTrack: (track: FakeTrack | null) => Promise<void> };
  readonly receiver: { readonly track: FakeTrack };
  readonly stop: () => void;
}

export class FakePeerConnection {
  /** All that were made, the newest last. */
  static readonly made: FakePeerConnection[] = [];
  signalingState = "stable";
  connectionState = "new";
  readonly iceConnectionState = "new";
  readonly iceGatheringState = "complete";
  localDescription: Description | null = null;
  remoteDescription: Description | null = null;
  currentLocalDescription: Description | null = null;
  currentRemoteDescription: Description | null = null;
  #transceivers: FakeTransceiver[] = [];
  readonly #listeners = new Map<string, ((event: object) => void)[]>();

  constructor() {
    FakePeerConnection.made.push(this);
  }

  addEventListener(name: string, listener: (event: object) => void): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  /** The way for media comes to be in this state. */
  to(state: string): void {
    this.connectionState = state;
    for (const listener of this.#listeners.get("connectionstatechange") ?? []) listener({});
  }

  getTransceivers(): FakeTransceiver[] {
    return this.#transceivers;
  }

  addTransceiver(track: FakeTrack, { direction }: { direction: string }): FakeTransceiver {
    return this.#add(track.kind, null, direction, track);
  }

  createOffer(): Promise<Description> {
    for (const [index, transceiver] of this.#transceivers.entries()) transceiver.mid ??= String(index);
    return Promise.resolve({ type: "offer", sdp: sdpOf(this.#transceivers) });
  }

  createAnswer(): Promise<Description> {
    return Promise.resolve({ type: "answer", sdp: sdpOf(this.#transceivers) });
  }

  setLocalDescription(description: Description): Promise<void> {
    this.#set(description, "have-local-offer", () => (this.localDescription = description));
    return Promise.resolve();
  }

  setRemoteDescription(description: Description): Promise<void> {
    this.#set(description, "have-remote-offer", () => (this.remoteDescription = description));
    const lines = description.sdp.split(/^m=/m).slice(1);
    if (description.type === "offer") {
      for (const [index, line] of lines.entries()) {
        if (this.#transceivers.some(({ mid }) => mid === String(index))) continue;
        this.#add(line.startsWith("audio") ? "audio" : "video", String(index), "recvonly", null);
      }
    } else if (description.type === "answer") {
      this.#transceivers = this.#transceivers.filter((transceiver) => {
        if (!/^\w+ 0 /.test(lines[Number(transceiver.mid)] ?? "")) return true;
        transceiver.direction = transceiver.currentDirection = "stopped";
        return false;
      });
    }
    return Promise.resolve();
  }

  getStats(): Promise<Map<string, unknown>> {
    return Promise.resolve(new Map());
  }

  close(): void {
    this.connectionState = this.signalingState = "closed";
    for (const transceiver of this.#transceivers) {
      transceiver.direction = transceiver.currentDirection = "stopped";
      Object.freeze(transceiver); // to set its direction throws
    }
  }

  #set({ type }: Description, offered: string, take: () => void): void {
    this.signalingState = type === "offer" ? offered : "stable";
    if (type === "rollback") return;
    take();
    if (type !== "answer") return;
    this.currentLocalDescription = this.localDescription;
    this.currentRemoteDescription = this.remoteDescription;
    for (const transceiver of this.#transceivers) transceiver.currentDirection = transceiver.direction;
  }

  #add(kind: "audio" | "video", mid: string | null, direction: string, track: FakeTrack | null): FakeTransceiver {
    const sender: FakeTransceiver["sender"] = {
      track,
      replaceTrack: (other) => {
        sender.track = other;
        return Promise.resolve();
      },
    };
    const receiver = { track: new FakeTrack(kind) };
    const transceiver = { mid, direction, currentDirection: null, sender, receiver, stop: () => undefined };
    this.#transceivers.push(transceiver);
    return transceiver;
  }
}

/** A description with these lines, each with its candidate; port 0 where refused. */
export function sdpWith(...lines: readonly (readonly [kind: string, direction: string, port?: number])[]): string {
  const media = lines.flatMap(([kind, direction, port = 4000], index) => [
    `m=${kind} ${port} UDP/TLS/RTP/SAVPF 111`,
    `a=mid:${index}`,
    `a=${direction}`,
    "a=candidate:1 1 udp 1 192.0.2.1 9 typ host",
  ]);
  return ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0", ...media, ""].join("\r\n");
}

function sdpOf(transceivers: readonly FakeTransceiver[]): string {
  return sdpWith(...transceivers.map(({ receiver, direction }) => [receiver.track.kind, direction] as const));
}

/** What the page got from getUserMedia, the newest last. */
export const captured: FakeStream[] = [];
let permission: Promise<void> = Promise.resolve();

/** Let the next getUserMedia wait, until the returned function is called. */
export function withholdPermission(): () => void {
  let grant = (): void => undefined;
  permission = new Promise((resolve) => (grant = resolve));
  return grant;
}

const mediaDevices = {
  getUserMedia: async ({ audio, video }: MediaStreamConstraints): Promise<FakeStream> => {
    const granted = permission;
    permission = Promise.resolve();
    await granted;
    const kinds = [...(audio ? (["audio"] as const) : []), ...(video ? (["video"] as const) : [])];
    const stream = new FakeStream(kinds.map((kind) => new FakeTrack(kind)));
    captured.push(stream);
    return stream;
  },
};
Object.assign(globalThis, { MediaStream: FakeStream, RTCPeerConnection: FakePeerConnection });
Object.defineProperty(globalThis, "navigator", { configurable: true, value: { mediaDevices } });
