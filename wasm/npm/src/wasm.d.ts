/** The core, as the build writes it into the `inline` entry: base64. */
declare module "*.wasm" {
  const base64: string;
  export default base64;
}
