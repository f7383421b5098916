import net from "node:net";

export interface Dialogue {
  readonly port: number;
  readonly host?: string;
  /** What to say once connected, or on the server's greeting when `greeting` is set. */
  readonly say: string;
  readonly greeting?: RegExp;
  /** The answer that means "works". */
  readonly expect: RegExp;
  readonly timeoutMs?: number;
}

/** One short talk over TCP. True when the expected answer came; false on anything else, a timeout included. */
export function converse(dialogue: Dialogue): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port: dialogue.port, host: dialogue.host ?? "127.0.0.1" });
    let heard = "";
    let spoken = false;
    const finish = (works: boolean): void => {
      socket.destroy();
      resolve(works);
    };
    const speak = (): void => {
      if (spoken || (dialogue.greeting !== undefined && !dialogue.greeting.test(heard))) return;
      spoken = true;
      socket.write(dialogue.say);
    };
    socket.setTimeout(dialogue.timeoutMs ?? 1000, () => finish(false));
    socket.on("error", () => finish(false));
    socket.on("close", () => resolve(false));
    socket.on("connect", speak);
    socket.on("data", (chunk) => {
      heard = (heard + chunk.toString("latin1")).slice(-65_536);
      speak();
      if (spoken && dialogue.expect.test(heard)) finish(true);
    });
  });
}
