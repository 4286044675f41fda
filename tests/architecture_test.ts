// That the folders keep to their arrows, and each entry point to its imports and its weight.

import "./support/strict.ts";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/**
 * What importing an entry point loads: modules of this project, and their
 * bytes as {@linkcode minified} counts them. Where a test says that an entry
 * point has outgrown its weight, look at what it has begun to load first; if
 * that is wanted, raise the number here and say why in the commit.
 */
const WEIGHTS: Readonly<Record<string, Weight>> = {
  ".": { modules: 100, bytes: 266_000 },
  "./resp": { modules: 10, bytes: 29_000 },
  "./retry": { modules: 5, bytes: 5_600 },
  "./pool": { modules: 16, bytes: 27_000 },
  "./pubsub": { modules: 65, bytes: 178_000 },
  "./elasticache": { modules: 2, bytes: 4_400 },
  "./replies": { modules: 1, bytes: 2_500 },
  "./diagnostics": { modules: 12, bytes: 32_500 },
  "./outbox": { modules: 22, bytes: 58_500 },
  "./outbox/durable-object": { modules: 5, bytes: 12_000 },
  "./outbox/kv": { modules: 5, bytes: 12_800 },
  "./verify": { modules: 145, bytes: 360_000 },
};
/** An entry point may outgrow its weight by a tenth. */
const ROOM = 1.1;

interface Weight {
  readonly modules: number;
  readonly bytes: number;
}

/**
 * The rooms of the house, and the rooms that each may import. The arrows go one
 * way: bytes, time and sockets import nothing, a connection imports bytes and its
 * socket, the pool its connections, the client the pool, and the recorder the
 * client and the runtime. Of the recorder, entries are below the outbox that keeps
 * them, and both are below what sends them.
 */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "resp": [],
  "retry": [],
  "pool/socket": [],
  "pool/connection": ["resp", "pool/socket"],
  "pool/elasticache": ["pool/socket"],
  "pool/forensics": ["resp", "pool/socket", "pool/connection"],
  "pool": ["resp", "pool/socket", "pool/connection", "pool/forensics"],
  "client/commands": ["resp", "retry", "pool/connection"],
  "client/servers": [
    "resp",
    "client/commands",
    "pool",
    "pool/socket",
    "pool/connection",
    "pool/forensics",
  ],
  "client": [
    "resp",
    "retry",
    "pool",
    "pool/socket",
    "pool/connection",
    "pool/forensics",
    "client/commands",
    "client/servers",
  ],
  "recorder/entries": ["client", "resp", "retry"],
  "recorder/outbox": ["client", "retry", "recorder/entries"],
  "pubsub": [
    "resp",
    "retry",
    "pool",
    "pool/socket",
    "pool/connection",
    "pool/forensics",
    "client",
    "client/commands",
    "client/servers",
  ],
  "recorder": [
    "pool/socket",
    "client",
    "resp",
    "retry",
    "recorder/entries",
    "recorder/outbox",
  ],
  "recorder/blacklist": ["client", "resp", "recorder", "recorder/entries"],
  "recorder/stores": ["client", "recorder/entries", "recorder/outbox"],
  "recorder/stores/file": ["client", "recorder/entries", "recorder/outbox"],
};
const ROOMS = Object.keys(ARROWS);

/**
 * The same for the command line, which may import public modules besides: its
 * entry point imports the two subcommands, and these share what is in `cli`.
 */
const COMMAND_LINE: Readonly<Record<string, readonly string[]>> = {
  "cli/verify.ts": ["cli", "cli/proof", "cli/watch", "cli/report"],
  "cli": ["pool/socket"],
  "cli/proof": [
    "cli",
    "pool/socket",
    "pool/connection",
    "pool/forensics",
  ],
  "cli/watch": [
    "cli",
    "client/servers",
    "pool",
    "pool/socket",
    "pool/connection",
    "pool/forensics",
  ],
  "cli/report": ["cli", "cli/watch", "pool/connection", "pool/forensics"],
};

/** Beside mod.ts: loaded only by programs that import it. */
const DIAGNOSTICS = "client/diagnostics.ts";

/** What is imported only when it is needed. */
const LATER: Readonly<Record<string, string[]>> = {
  "client/attempts.ts": ["./resolve_fate.ts", "./server_run.ts"],
  "client/caller.ts": [
    "./split_pipeline.ts",
    "./transaction.ts",
    "./cluster_transaction.ts",
    "./exclusive_call.ts",
    "./lease.ts",
    "./watched_transaction.ts",
  ],
  "client/faces.ts": [
    "./stored_code.ts",
    "./stored_code.ts",
    "./scans.ts",
    "./scans.ts",
  ],
  "client/choose_directory.ts": [
    "./servers/cluster.ts",
    "./servers/sentinel.ts",
  ],
  "client/servers/server.ts": ["../../pool/forensics/post_mortem_trigger.ts"],
  "pool/connection/handshake.ts": ["./other_handshakes.ts"],
  "pool/connection/open.ts": ["./refused_login.ts"],
  "pool/socket/bun.ts": ["./node.ts"],
  "pool/socket/deno.ts": ["./deno_tls.ts"],
  "pool/socket/deno_tls.ts": ["./check_certificates.ts", "./node_tls.ts"],
  "pool/socket/dial.ts": ["./explain.ts"],
  "pool/socket/endpoint.ts": ["./changing_credentials.ts"],
  "pool/socket/node.ts": ["./node_tls.ts"],
  "pool/socket/node_tls.ts": ["./check_certificates.ts", "./tls_probe.ts"],
  "pool/socket/other_runtimes.ts": ["./node.ts", "./bun.ts", "./workers.ts"],
  "recorder/blacklist/blacklist.ts": ["./decisions.ts", "./manual_blocks.ts"],
  "recorder/entries/event.ts": ["@std/uuid/v5"],
  "recorder/late_repeats.ts": ["./repeats.ts"],
  "recorder/outbox/outbox.ts": ["./stored_outbox.ts"],
  "recorder/writer.ts": ["./flush_reads.ts"],
  "retry/retry.ts": ["@std/async/delay"],
};

/** What may be imported from outside the project, and by whom. */
const OUTSIDE: Readonly<Record<string, readonly string[]>> = {
  "retry": ["@std/async"],
  "client": ["@std/async"],
  "recorder/entries": ["@std/uuid"],
};

/** What of Node's library is used, and where. */
const NODE: Readonly<Record<string, readonly string[]>> = {
  [DIAGNOSTICS]: ["node:diagnostics_channel"],
  "recorder/stores/file/checksums.ts": ["node:zlib"],
  "recorder/stores/file/claims.ts": ["node:process"],
  "recorder/stores/file/compaction.ts": ["node:buffer"],
  "recorder/stores/file/cursor.ts": ["node:buffer"],
  "recorder/stores/file/disk.ts": ["node:fs", "node:path", "node:process"],
  "recorder/stores/file/header.ts": ["node:buffer", "node:zlib"],
  "recorder/stores/file/lock.ts": ["node:timers"],
  "recorder/stores/file/ownership.ts": ["node:timers"],
  "recorder/stores/file/record.ts": ["node:buffer", "node:zlib"],
  "recorder/stores/file/runtime.ts": ["node:fs", "node:os", "node:process"],
};

interface Module {
  /** Its path from the root. */
  readonly path: string;
  readonly source: string;
  /** What it imports, as written. */
  readonly specifiers: readonly string[];
  /** Those of the project, as paths from the root. */
  readonly inside: readonly string[];
  /** The others. */
  readonly outside: readonly string[];
}

/** A statement begins a line; examples in comments begin with an asterisk. */
const STATIC =
  /^(?:import\s+|(?:import|export)\s[\w\s{},*$]*?\bfrom\s*)["']([^"']+)["']/gm;
const DYNAMIC = /\bimport(?:\.meta\.resolve)?\(\s*["']([^"']+)["']/g;
const COMMENT = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm;

function readModule(path: string): Module {
  const source = Deno.readTextFileSync(new URL(path, ROOT));
  const code = source.replace(COMMENT, "");
  const specifiers = [STATIC, DYNAMIC].flatMap((pattern) =>
    Array.from(code.matchAll(pattern), ([, specifier]) => specifier!)
  );
  const isRelative = (specifier: string) => /^\.{0,2}\//.test(specifier);
  return {
    path,
    source,
    specifiers,
    inside: specifiers.filter(isRelative).map((specifier) =>
      new URL(specifier, new URL(path, ROOT)).href.slice(ROOT.href.length)
    ),
    outside: specifiers.filter((specifier) => !isRelative(specifier)),
  };
}

function modulesOf(folder: string): Module[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))]
    .filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => readModule(`${folder}/${name}`));
}

/** A module and all that it needs, itself included. */
function graphOf(path: string): Map<string, Module> {
  const graph = new Map<string, Module>();
  const add = (path: string): void => {
    if (graph.has(path)) return;
    const module = readModule(path);
    graph.set(path, module);
    module.inside.forEach(add);
  };
  add(path);
  return graph;
}

/**
 * What importing a module loads, by path: itself and what it imports
 * statically, minified. Not what is imported for its types alone or while the
 * program runs, and not the packages of the standard library.
 */
function loadedBy(path: string): Map<string, string> {
  const loaded = new Map<string, string>();
  const add = (path: string): void => {
    if (loaded.has(path)) return;
    const code = withoutTypes(readModule(path).source);
    loaded.set(path, minified(code));
    for (const [, specifier] of code.matchAll(STATIC)) {
      if (!/^\.{0,2}\//.test(specifier!)) continue;
      add(
        new URL(specifier!, new URL(path, ROOT)).href.slice(ROOT.href.length),
      );
    }
  };
  add(path);
  return loaded;
}

/** A source, formatted by `deno fmt`, without comments, type-only imports and declarations of types. */
function withoutTypes(source: string): string {
  return source.replace(COMMENT, "")
    .replace(/^(?:import|export) type [^;]*;/gm, "")
    .replace(/^(?:export )?(?:declare )?interface [\s\S]*?^\}/gm, "")
    .replace(/^(?:export )?type [\s\S]*?;\n(?![ }])/gm, "");
}

/**
 * Code as short as a rule without a parser makes it, to be counted and not to
 * be run: no comments at the ends of lines, and no white space but one space
 * between two words. Names stay as they are. An actual minifier gets to about
 * half as much; it would have to be downloaded.
 */
const minified = (code: string): string =>
  code.replace(/ \/\/ .*$/gm, "")
    .replace(/\s+/g, " ")
    .replace(/ (?![\w$#])|(?<![\w$#]) /g, "");

/** The room of a module: its folder. */
const roomOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
const folderOf = (path: string): string => path.split("/")[0]!;
const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, 2).join("/");

const config = JSON.parse(
  Deno.readTextFileSync(new URL("deno.json", ROOT)),
) as {
  readonly name: string;
  readonly imports: Record<string, string>;
  readonly exports: Record<string, string>;
  readonly version: string;
  readonly publish: { readonly include: readonly string[] };
};

Deno.test("Each room imports only the rooms that its arrows lead to", () => {
  const wrong = ROOMS.flatMap((room) =>
    modulesOf(room).flatMap(({ path, inside }) =>
      inside
        .filter((other) =>
          roomOf(other) !== room && !ARROWS[room]!.includes(roomOf(other))
        )
        .map((other) => `${path} imports ${other}`)
    )
  );
  assertEquals(wrong, []);
});

Deno.test("The command line imports public modules and rooms of the pool, and its subcommands nothing of each other", () => {
  const placeOf = (path: string): string =>
    path in COMMAND_LINE || !path.includes("/") ? path : roomOf(path);
  const isPublic = (path: string): boolean =>
    Object.values(config.exports).includes(`./${path}`);
  const folders = ["cli", ...roomsIn("cli")];
  assertEquals(
    folders.sort(),
    Object.keys(COMMAND_LINE).filter((place) => !place.endsWith(".ts")).sort(),
  );
  const wrong = folders.flatMap(modulesOf).flatMap(({ path, inside }) =>
    inside
      .filter((other) =>
        placeOf(other) !== placeOf(path) && !isPublic(other) &&
        !COMMAND_LINE[placeOf(path)]!.includes(placeOf(other))
      )
      .map((other) => `${path} imports ${other}`)
  );
  assertEquals(wrong, []);
});

Deno.test("Every folder of the source has its place among the rooms", () => {
  const found = ["resp", "retry", "pool", "client", "pubsub", "recorder"]
    .flatMap(
      (folder) => [folder, ...roomsIn(folder)],
    );
  assertEquals(found.sort(), [...ROOMS].sort());
});

/** The folders inside a folder, at any depth. */
function roomsIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))]
    .filter(({ isDirectory }) => isDirectory)
    .flatMap((
      { name },
    ) => [`${folder}/${name}`, ...roomsIn(`${folder}/${name}`)]);
}

Deno.test("Each room imports only the packages that it needs", () => {
  const wrong = ROOMS.flatMap((room) =>
    modulesOf(room).flatMap(({ path, outside }) =>
      outside
        .filter((specifier) =>
          !OUTSIDE[room]?.includes(packageOf(specifier)) &&
          !NODE[path]?.includes(specifier)
        )
        .map((specifier) => `${path} imports ${specifier}`)
    )
  );
  assertEquals(wrong, []);
});

Deno.test("mod.ts is a face: it exports names of the rooms, then lists every other module that is loaded", () => {
  const { source, inside, outside } = readModule("mod.ts");
  assertEquals(outside, []);
  for (const path of inside) {
    assert(ROOMS.includes(roomOf(path)), path);
  }
  const statements = source.replace(COMMENT, "").split(";").map((statement) =>
    statement.trim()
  ).filter((statement) => statement !== "");
  const isExport = (statement: string) =>
    /^export (?:type )?\{/.test(statement);
  const isListed = (statement: string) => statement.startsWith('import "./');
  const exports = statements.filter(isExport);
  const listed = statements.slice(exports.length);
  assert(listed.every(isListed), "the exports come first, then the list");
  const exported = loadedDirectly(exports);
  assertEquals(
    listed.map((statement) => statement.slice('import "./'.length, -1)),
    [...loadedBy("mod.ts").keys()].filter((path) =>
      path !== "mod.ts" && !exported.includes(path)
    ).sort(),
    "the list is what mod.ts loads beside the modules that it exports names of",
  );
});

/** The modules that statements of mod.ts export values of. */
const loadedDirectly = (exports: readonly string[]): string[] =>
  exports.filter((statement) => statement.startsWith("export {"))
    .map((statement) => /"\.\/([^"]+)"/.exec(statement)![1]!);

Deno.test("The graph of mod.ts holds every module, and nothing from outside but @std/async and @std/uuid", () => {
  const graph = graphOf("mod.ts");
  const beside = Object.values(config.exports).map((target) => target.slice(2))
    .filter((path) => !graph.has(path))
    .flatMap((path) => [...graphOf(path).keys()])
    .filter((path) => !graph.has(path));
  const expected = [
    "mod.ts",
    ...ROOMS.flatMap((f) => modulesOf(f).map((m) => m.path)),
  ].filter((path) => !beside.includes(path));
  assertEquals([...graph.keys()].sort(), expected.sort());
  const packages = new Set(
    [...graph.values()].flatMap(({ outside }) => outside.map(packageOf)),
  );
  assertEquals([...packages].sort(), [
    "@std/async",
    "@std/uuid",
  ]);
});

Deno.test("Only the room of sockets names Deno, but for the product Deno KV and the kernel's lock of a file, which Node has not", () => {
  const wrong = ROOMS.filter((room) => room !== "pool/socket").flatMap((room) =>
    modulesOf(room)
      .filter(({ path }) => path !== "recorder/stores/file/runtime.ts")
      .filter(({ source }) =>
        /\bDeno\b(?! KV\b)/.test(source.replace(COMMENT, ""))
      )
      .map(({ path }) => path)
  );
  assertEquals(wrong, []);
});

Deno.test('What is loaded on other runtimes has no "using", which Node 22 cannot read', () => {
  const wrong = ROOMS.flatMap(modulesOf).filter(({ source }) =>
    /^\s*(?:await )?using \w+ =/m.test(source.replace(COMMENT, ""))
  );
  assertEquals(wrong.map(({ path }) => path), []);
});

Deno.test("The examples use the module by its public faces alone", () => {
  const folders = ["examples", ...roomsIn("examples")];
  const wrong = folders.flatMap(modulesOf).flatMap(({ path, inside }) =>
    inside
      .filter((other) => !other.startsWith("examples/"))
      .map((other) => `${path} imports ${other}`)
  );
  assertEquals(wrong, []);
});

Deno.test("No module imports itself by way of others", () => {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (done.has(path)) return;
    const circle = trail.indexOf(path);
    assert(circle < 0, [...trail.slice(circle), path].join(" -> "));
    for (const other of readModule(path).inside) visit(other, [...trail, path]);
    done.add(path);
  };
  for (const target of Object.values(config.exports)) {
    visit(target.slice(2), []);
  }
});

Deno.test("Only what few need is imported while the program runs", () => {
  for (const { path, source } of graphOf("mod.ts").values()) {
    const code = source.replace(COMMENT, "");
    const later = [...code.matchAll(DYNAMIC)].map(([, specifier]) => specifier);
    assertEquals(
      later,
      LATER[path] ?? [],
      path,
    );
    if (path in NODE) continue; // is itself imported while the program runs
    assert(!/\bfrom\s*["'](?:node|npm|jsr|https?):/.test(code), path);
  }
});

Deno.test("Each entry point loads no more than its recorded modules and bytes, and a tenth", () => {
  assertEquals(
    Object.keys(WEIGHTS).sort(),
    Object.keys(config.exports).sort(),
    "each entry point of deno.json has a weight, and no other",
  );
  for (const [name, target] of Object.entries(config.exports)) {
    const loaded = loadedBy(target.slice(2));
    const bytes = [...loaded.values()]
      .reduce((sum, code) => sum + new Blob([code]).size, 0);
    const weight = WEIGHTS[name]!;
    const found = `${name} loads ${loaded.size} modules of ${bytes} bytes`;
    console.log(found);
    assertLessOrEqual(loaded.size, ROOM * weight.modules, found);
    assertLessOrEqual(bytes, ROOM * weight.bytes, found);
  }
});

Deno.test("The weight of a module is that of its code, without comments and types", () => {
  const source = `// A comment.
import { a } from "./a.ts";
import type { B } from "./b.ts";
export interface C {
  d: string;
}
type E =
  | "e"
  | "f";
/** Another. */
export const g = (h: number) => a + h; // and one more
`;
  assertEquals(
    minified(withoutTypes(source)),
    `import{a}from"./a.ts";export const g=(h:number)=>a+h;`,
  );
});

Deno.test("deno.json imports three packages of the standard library and no other", () => {
  assertEquals(
    Object.keys(config.imports).sort(),
    ["@std/assert", "@std/async", "@std/uuid"],
  );
  for (const [name, target] of Object.entries(config.imports)) {
    assert(target.startsWith(`jsr:${name}@`), target);
  }
});

Deno.test("The server is told the version that is published", () => {
  const { source } = readModule("pool/connection/greetings.ts");
  assert(source.includes(`"LIB-VER", "${config.version}"`), config.version);
});

Deno.test("Every export of deno.json is there, and a mod.ts is the face of its folder", () => {
  for (const target of Object.values(config.exports)) {
    assert(Deno.statSync(new URL(target, ROOT)).isFile, target);
  }
  for (const folder of ["resp", "retry", "pool", "pubsub"]) {
    assertEquals(config.exports[`./${folder}`], `./${folder}/mod.ts`);
    for (const { path, inside } of modulesOf(folder)) {
      if (path !== `${folder}/mod.ts`) {
        assert(
          !inside.includes(`${folder}/mod.ts`),
          `${path} imports its face`,
        );
      }
    }
  }
});

Deno.test("Every test has a time limit and is searched for leaks", () => {
  const files = ["tests", ...roomsIn("tests")].flatMap(modulesOf).filter((
    { path },
  ) => path.endsWith("_test.ts"));
  const loose = files.filter(({ inside }) =>
    !inside.includes("tests/support/strict.ts")
  );
  assert(files.length > 0);
  assertEquals(loose.map(({ path }) => path), []);
});

Deno.test("Every module begins with a comment that says what it is about", () => {
  const wrong = allModules().filter(({ source }) =>
    !/^(?:\/\/|\/\*\*\n \*) \S/.test(source)
  );
  assertEquals(wrong.map(({ path }) => path), []);
});

Deno.test("Every folder of tests has the name of a folder of the source, or helpers of its own", () => {
  const wrong = roomsIn("tests").filter((folder) => {
    const files = modulesOf(folder).map(({ path }) => path);
    const tests = files.filter((path) => path.endsWith("_test.ts"));
    if (tests.length === 0 || tests.length < files.length) return false;
    return !isFolder(folder.slice("tests/".length));
  });
  assertEquals(wrong, []);
});

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, ROOT)).isDirectory;
  } catch {
    return false;
  }
}

/** The modules of the project, those of tests and programs included. */
function allModules(): Module[] {
  const all = (folder: string): Module[] => [
    ...modulesOf(folder),
    ...[...Deno.readDirSync(new URL(folder, ROOT))]
      .filter(({ isDirectory, name }) => isDirectory && name !== "node_modules")
      .flatMap(({ name }) => all(`${folder}/${name}`)),
  ];
  return [
    readModule("mod.ts"),
    ...[...Deno.readDirSync(ROOT)]
      .filter(({ isDirectory, name }) => isDirectory && !name.startsWith("."))
      .flatMap(({ name }) => all(name)),
  ];
}

Deno.test("Nothing outside the tests imports them", () => {
  const outside = allModules().filter(({ path }) => folderOf(path) !== "tests");
  assert(outside.some(({ path }) => folderOf(path) === "bench"));
  const wrong = outside.flatMap(({ path, inside }) =>
    inside.filter((other) => folderOf(other) === "tests")
      .map((other) => `${path} imports ${other}`)
  );
  assertEquals(wrong, []);
});

Deno.test("The import map for npm has every export of deno.json and every package that is imported", () => {
  const { imports } = JSON.parse(
    Deno.readTextFileSync(new URL("import_map.npm.json", ROOT)),
  ) as { readonly imports: Record<string, string> };
  const own = Object.fromEntries(
    Object.entries(config.exports).map(([name, target]) => [
      `${config.name}${name.slice(1)}`,
      target,
    ]),
  );
  const standard = Object.keys(imports).filter((name) =>
    name.startsWith("@std/")
  );
  assertEquals(
    imports,
    {
      ...own,
      ...Object.fromEntries(standard.map((name) => [
        name,
        `./npm/${name.slice("@std/".length).replace("/", "_")}.ts`,
      ])),
    },
  );
  assertEquals(
    [...new Set(standard.map(packageOf))].sort(),
    Object.keys(config.imports).sort(),
  );
});

Deno.test("Every file that the README links to is published, and so are those that these link to", () => {
  const published = (path: string): boolean =>
    config.publish.include.some((pattern) =>
      pattern === path ||
      pattern === path.replace(/[^/]+(?=\.\w+$)/, "*")
    );
  const broken = [
    "README.md",
    "bench/README.md",
    "docs/credentials.md",
    "docs/guarantees.md",
    "docs/pubsub.md",
    "CHANGELOG.md",
  ].flatMap(
    (page) =>
      Array.from(
        Deno.readTextFileSync(new URL(page, ROOT)).matchAll(/\]\(([^)#\s]+)/g),
        ([, target]) => target!,
      )
        .filter((target) => !/^[a-z]+:/.test(target))
        .map((target) =>
          new URL(target, new URL(page, ROOT)).href.slice(ROOT.href.length)
        )
        .filter((path) => !published(path))
        .map((path) => `${page} links to ${path}`),
  );
  assertEquals(broken, []);
});
