// The one connection of a page to its server: opened again when it is lost, and told of by whoever listens.

export type Message = { op: string } & Record<string, unknown>;

export interface Connection {
  send(message: object): void;
  isOpen(): boolean;
}

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;

export class Socket implements Connection {
  private socket: WebSocket | null = null;
  private wait = FIRST_WAIT_MS;

  constructor(
    private readonly url: URL,
    private readonly onMessage: (message: Message) => void,
    private readonly onOpen: () => void,
    private readonly onLost: () => void,
  ) {
    this.connect();
    addEventListener("online", () => this.socket === null && this.connect());
  }

  isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(message: object): void {
    if (this.isOpen()) this.socket?.send(JSON.stringify(message));
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.wait = FIRST_WAIT_MS;
      this.onOpen();
    });
    socket.addEventListener("message", (event: MessageEvent<string>) => this.onMessage(JSON.parse(event.data) as Message));
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.onLost();
      setTimeout(() => this.socket === null && this.connect(), this.wait);
      this.wait = Math.min(this.wait * 1.7, LONGEST_WAIT_MS);
    });
  }
}

/** An address of the server, beside the page's own: it may be mounted anywhere. */
export function addressOf(path: string): URL {
  return new URL(path, document.baseURI.replace(/[#?].*$/, "").replace(/[^/]*$/, ""));
}

export function socketAddress(path: string): URL {
  const url = addressOf(path);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}
