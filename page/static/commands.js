// The lines that send this very request from a terminal or a program.

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = (text) => JSON.stringify(text);
// A name that begins with a hyphen is not an option.
const fileName = (name) => (name.startsWith("-") ? `./${name}` : name);

/** Return [title, text] of each; `request` has http, grpc, uses_tokens, model, version (or ""), topK, file. */
export function commandsFor(request) {
  const path = [request.model, request.version].filter(Boolean).map(encodeURIComponent).join("/");
  const token = request.uses_tokens ? ' -H "Authorization: Bearer $(headswap token)"' : "";
  const curl = `curl${token} -H 'X-Top-K: ${request.topK}' -sT ${shell(fileName(request.file))} ${shell(`${request.http}/predictions/${path}`)}`;
  return [["curl", curl], ["Python, over HTTP", script("HttpClient", request.http, request)], ["Python, over gRPC", script("GrpcClient", request.grpc, request)]];
}

function script(client, address, request) {
  const version = request.version ? `, version=${python(request.version)}` : "";
  return [
    ...(request.uses_tokens ? ['# in the terminal before: export HEADSWAP_TOKEN="$(headswap token)"'] : []),
    "from pathlib import Path",
    `from headswap.client import ${client}`,
    "",
    `with ${client}.to(${python(address)}) as client:`,
    `    photo = Path(${python(request.file)}).read_bytes()`,
    `    print(client.predict(${python(request.model)}, photo, top_k=${request.topK}${version}))`,
  ].join("\n");
}
