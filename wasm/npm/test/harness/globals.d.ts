/** What the harness puts into the pages it opens. */
interface Window {
  startServer(args: readonly string[]): Promise<{ tcp: string; http: string; ws: string }>;
  startProxy(target: string): Promise<string>;
  openTab(path: string): Promise<string>;
  tell(address: string, what: string, ...args: unknown[]): Promise<any>;
  heapBytes(): Promise<number>;
  protocolTexts(folder: string): Promise<Record<string, string>>;
  suite: {
    load(file: string, settings: Record<string, string>): Promise<{ title: string; seconds: number }[]>;
    run(title: string): Promise<string | undefined>;
  };
}

/** What the application of the packaging tests leaves. */
declare var outcome: Promise<{ alone: string; shared: string; place: string }>;

/** What the viewer of the recipe's tests leaves. */
declare var client: import("mist-pubsub").Client;
declare var got: number[];
