// A Sentinel that names what a test says.
import {
  type Answer,
  helloOf,
  ScriptedServer,
} from "../../support/scripted_server.ts";

/** What a Sentinel says. */
export interface SaidBySentinel {
  /** `host:port` of the primary; `undefined`: it has none of that name. */
  primary: string | undefined;
  /** Its configuration epoch. */
  epoch?: number;
  /** `host:port` of the other Sentinels. */
  others?: string[];
  /** Answers in place of all that. */
  instead?: (command: string[]) => Answer | undefined;
  /** Says nothing at all. */
  isSilent?: boolean;
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const list = (texts: string[]): string =>
  `*${texts.length}\r\n${texts.map(bulk).join("")}`;
const split = (address: string): [string, string] => {
  const at = address.lastIndexOf(":");
  return [address.slice(0, at), address.slice(at + 1)];
};

/** Answers as a Sentinel of `mymaster` would; what it says may be changed while it runs. */
export class SentinelDouble extends ScriptedServer {
  readonly says: SaidBySentinel;

  constructor(says: SaidBySentinel) {
    super((command) => {
      if (says.isSilent) return undefined;
      const instead = says.instead?.(command);
      if (instead !== undefined) return instead;
      const [name, sub, primary] = command;
      if (name === "HELLO") return helloOf({ mode: "sentinel", version: "7" });
      const isNamed = primary === "mymaster" && says.primary !== undefined;
      switch (`${name} ${sub}`) {
        case "SENTINEL GET-MASTER-ADDR-BY-NAME":
          return isNamed ? list(split(says.primary!)) : "*-1\r\n";
        case "SENTINEL SENTINELS": {
          const others = (says.others ?? []).map(split)
            .map(([ip, port]) => list(["ip", ip, "port", port]));
          return isNamed
            ? `*${others.length}\r\n${others.join("")}`
            : "-ERR No such master with that name\r\n";
        }
        case "SENTINEL MASTER":
          return isNamed
            ? list(["name", primary, "config-epoch", `${says.epoch ?? 0}`])
            : "-ERR No such master with that name\r\n";
        default:
          return "-ERR unknown command\r\n";
      }
    });
    this.says = says;
  }

  /** How often it was asked for the address of the primary. */
  get asked(): number {
    return this.heard.flat().filter((command) =>
      command.startsWith("SENTINEL GET-MASTER-ADDR")
    ).length;
  }
}
