import type { AddressInfo } from "node:net";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import dynalite from "dynalite";

/** A DynamoDB in this process, on loopback. */
export const startDynalite = async () => {
  const server = dynalite({ createTableMs: 0 });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connect = () =>
    new DynamoDBClient({
      region: "us-east-1",
      endpoint: url,
      credentials: { accessKeyId: "any", secretAccessKey: "any" },
    });
  return {
    url,
    connect,
    stop: () =>
      new Promise<void>((stopped) => {
        server.close(() => stopped());
        server.closeAllConnections();
      }),
  };
};
