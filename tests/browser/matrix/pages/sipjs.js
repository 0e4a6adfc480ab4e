// A page with stock SIP.js and nothing of ours.
import { Inviter, Registerer, RegistererState, SessionState, SIPExtension, TransportState, UserAgent } from "sip.js";
import { framesDecoded, heardHz, iceFragment, lines, receivingTrack, useTone } from "./media.js";

let userAgent = null;
let registerer = null;
let session = null;
let end = null;

const connection = () => session?.sessionDescriptionHandler?.peerConnection ?? null;

function take(next) {
  session = next;
  end = null;
  session.delegate = {
    onBye: (bye) => {
      end ??= "remote bye";
      void bye.accept();
    },
    onCancel: () => (end ??= "remote cancel"),
  };
}

/** Send a re-INVITE and wait for its answer. */
const changed = (options) =>
  new Promise((done, failed) => {
    const requestDelegate = { onAccept: () => done(), onReject: ({ message }) => failed(new Error(message.statusCode)) };
    setTimeout(() => failed(new Error(`no answer, ${session.state}`)), 8000);
    session.invite({ requestDelegate, sessionDescriptionHandlerOptions: options }).catch(failed);
  });

window.client = {
  async register({ server, user, realm, password, toneHz, bundlePolicy, reliable }) {
    useTone(toneHz);
    userAgent = new UserAgent({
      uri: UserAgent.makeURI(`sip:${user}@${realm}`),
      transportOptions: { server },
      authorizationUsername: `${user}@${realm}`,
      authorizationPassword: password,
      sipExtension100rel: reliable ? SIPExtension.Supported : SIPExtension.Unsupported,
      sessionDescriptionHandlerFactoryOptions: {
        iceGatheringTimeout: 1000,
        peerConnectionConfiguration: { iceServers: [], bundlePolicy },
      },
      delegate: {
        onInvite: (invitation) => {
          take(invitation);
          void invitation.progress();
        },
      },
    });
    await userAgent.start();
    registerer = new Registerer(userAgent);
    await new Promise((registered, failed) => {
      registerer.stateChange.addListener((state) =>
        state === RegistererState.Registered ? registered() : failed(new Error(state)),
      );
      void registerer.register();
    });
  },
  async call({ target, video, shape }) {
    // What SIP.js has for a one-way first offer is a call that begins on hold.
    const hold = shape === "one-way";
    const inviter = new Inviter(userAgent, UserAgent.makeURI(target), {
      earlyMedia: true,
      sessionDescriptionHandlerOptions: { constraints: { audio: true, video }, hold },
      sessionDescriptionHandlerOptionsReInvite: { constraints: { audio: true, video }, hold: false },
    });
    take(inviter);
    const refused = ({ message }) => (end = `refused: ${message.statusCode} ${message.getHeader("warning") ?? ""}`);
    await inviter.invite({ requestDelegate: { onReject: refused } });
  },
  answer: ({ video }) => session.accept({ sessionDescriptionHandlerOptions: { constraints: { audio: true, video } } }),
  async hangup() {
    end = "local bye";
    await new Promise((done) => void session.bye({ requestDelegate: { onAccept: done, onReject: done } }));
  },
  state: () => {
    if (session === null) return "idle";
    if (end !== null || session.state === SessionState.Terminated) return `ended: ${end}`;
    if (session.state === SessionState.Established) return "established";
    return session instanceof Inviter ? "calling" : "ringing";
  },
  heardHz: () => heardHz(receivingTrack(connection(), "audio")),
  frames: () => framesDecoded(connection()),
  lines: () => lines(connection()),
  hold: () => changed({ hold: true }),
  resume: () => changed({ hold: false }),
  restartIce: () => changed({ offerOptions: { iceRestart: true } }),
  /** What its guide has: the application connects again and registers. */
  async loseConnection() {
    const isLost = (state) => state === TransportState.Disconnected;
    const lost = new Promise((done) => userAgent.transport.stateChange.addListener((state) => isLost(state) && done()));
    userAgent.transport.ws.close();
    await lost;
    await userAgent.reconnect();
    await new Promise((done) => void registerer.register({ requestDelegate: { onAccept: done } }));
  },
  iceFragment: () => iceFragment(connection()),
  close: () => userAgent?.stop(),
};
