/** What the harness puts into the pages it opens. */
interface Window {
  startServer(args: readonly string[]): Promise<{ tcp: string; http: string; ws: string }>;
  suite: {
    load(file: string): Promise<string[]>;
    run(title: string): Promise<string | undefined>;
  };
  tellServer(tcp: string, what: string): Promise<void>;
}

/** What the application of the packaging tests leaves. */
declare var outcome: Promise<{ alone: string; shared: string; place: string }>;
