import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parameterStore } from "../../functions/runtime/ssm.ts";
import { type Judge, startMoto } from "../world/judges.ts";

let moto: Judge;
beforeAll(async () => {
  moto = await startMoto();
});
afterAll(() => moto.stop());

/** Calls an AWS API of JSON, which moto takes unsigned. */
const call = async (service: string, target: string, body: object) => {
  const response = await fetch(moto.url, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": target,
      Authorization: `AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=x`,
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
};
const read = (...names: string[]) =>
  parameterStore({
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    AWS_ENDPOINT_URL_SSM: `${moto.url}/`,
  })(names);

describe("Parameter Store by moto", () => {
  it("gives an encrypted parameter as it was put, and leaves out what it does not have", async () => {
    const Value = "smtp://user:p%40ss@relay.example.com:587";
    await call("ssm", "AmazonSSM.PutParameter", { Name: "/hardstate/relays", Type: "SecureString", Value });
    expect(await read("/hardstate/relays", "/not/there")).toEqual(new Map([["/hardstate/relays", Value]]));
  });

  it("gives a secret of Secrets Manager by its reference", async () => {
    const secret = "site=a-token-of-twenty-four-characters";
    await call("secretsmanager", "secretsmanager.CreateSecret", {
      Name: "hardstate-tokens",
      SecretString: secret,
    });
    // Unlike AWS, moto tells the name without what stands before it.
    const values = await read("/aws/reference/secretsmanager/hardstate-tokens");
    expect([...values.values()]).toEqual([secret]);
  });
});
