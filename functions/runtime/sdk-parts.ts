/**
 * In place of what the AWS SDK has for calls that nobody makes here: streams of events, and endpoints that a service is
 * asked for (DynamoDB's are known by their region).
 */
export const EndpointCache = function EndpointCache() {
  return {};
};
