// What users of the service's official JavaScript SDK do, against the server that the environment names.
// Prints, as one JSON object, what came of each call: its outputs, or the error that its user would see.
const { Client } = require("wavespeed");

const { BASE, KEY, PHOTO, BROKEN } = process.env;
const MODEL = "wavespeed-ai/image-upscaler";
const client = new Client(KEY, { baseUrl: BASE });
const stranger = new Client("another-key", { baseUrl: BASE });
const quickly = { pollInterval: 0.05 };

async function outcome(call) {
  try {
    return { outputs: (await call()).outputs };
  } catch (error) {
    return { error: `${error.name || error.constructor.name}: ${error.message}` };
  }
}

async function main() {
  const image = await client.upload(PHOTO);
  const broken = await client.upload(BROKEN);
  const ask = (inputs, options) => outcome(() => client.run(MODEL, { image, target_resolution: "2k", ...inputs }, options));
  const noThrow = await client.runNoThrow(MODEL, { image: broken }, quickly);
  const told = {
    polled: await ask({ output_format: "png" }, quickly),
    sync: await ask({}, { enableSyncMode: true }),
    base64: await ask({ enable_base64_output: true }, quickly),
    failed: await ask({ image: broken }, quickly),
    refused: await ask({ target_resolution: "16k" }, quickly),
    model: await outcome(() => client.run("wavespeed-ai/nothing", { image }, quickly)),
    stranger: await outcome(() => stranger.run(MODEL, { image }, quickly)),
    upload: await outcome(async () => ({ outputs: [await stranger.upload(PHOTO)] })),
    slow: await ask({ creativity: 2 }, { enableSyncMode: true }),
    noThrow: { status: noThrow.detail.status, error: String(noThrow.detail.error) },
  };
  process.stdout.write("\n" + JSON.stringify(told) + "\n");
}

main();
