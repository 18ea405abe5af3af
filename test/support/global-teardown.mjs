import { rm } from 'node:fs/promises';

export default async function globalTeardown() {
  const { server, folder } = globalThis.testServer;
  await server.leave();
  await rm(folder, { recursive: true, force: true });
}
