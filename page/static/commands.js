// The lines that send this very request from a terminal or a program.

// Control characters and those that turn the writing direction would change what the line looks like.
const HIDDEN = /\p{C}/gu;
const utf8 = new TextEncoder();
const bytesOf = (character) => [...utf8.encode(character)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const escaped = (text) => `$'${text.replace(/['\\]/g, "\\$&").replace(HIDDEN, bytesOf)}'`;
const shell = (text) => (text.search(HIDDEN) < 0 ? quoted(text) : escaped(text));
const python = (text) => JSON.stringify(text).replace(HIDDEN, (character) => `\\U${character.codePointAt(0).toString(16).padStart(8, "0")}`);
// A name that begins with a hyphen is not an option.
const fileName = (name) => (name.startsWith("-") ? `./${name}` : name);

/** Return [title, text] of each; `request` has http, grpc, certificate (or ""), uses_tokens, model, version (or ""), topK, file. */
export function commandsFor(request) {
  return [["curl", curl(request)], ["Python, over HTTP", script("HttpClient", request.http, request)], ["Python, over gRPC", script("GrpcClient", request.grpc, request)]];
}

function curl({ http, certificate, uses_tokens, model, version, topK, file }) {
  const path = [model, version].filter(Boolean).map(encodeURIComponent).join("/");
  return [
    // Without -g, curl takes brackets in a file's name and in an IPv6 address for a pattern.
    "curl -gs",
    ...(certificate ? [`--cacert ${shell(certificate)}`] : []),
    ...(uses_tokens ? ['-H "Authorization: Bearer $(headswap token)"'] : []),
    `-H 'X-Top-K: ${topK}'`,
    `-T ${shell(fileName(file))}`,
    shell(`${http}/predictions/${path}`),
  ].join(" ");
}

function script(client, address, request) {
  const trust = request.certificate ? `, ca_file=${python(request.certificate)}` : "";
  const version = request.version ? `, version=${python(request.version)}` : "";
  return [
    ...(request.uses_tokens ? ['# in the terminal before: export HEADSWAP_TOKEN="$(headswap token)"'] : []),
    "from pathlib import Path",
    `from headswap.client import ${client}`,
    "",
    `with ${client}.to(${python(address)}${trust}) as client:`,
    `    photo = Path(${python(request.file)}).read_bytes()`,
    `    print(client.predict(${python(request.model)}, photo, top_k=${request.topK}${version}))`,
  ].join("\n");
}
