"use strict";
// The routes that people begin with have the shortest paths.
const shortestFirst = (a, b) => {
  const [one, other] = [a.get("path"), b.get("path")];
  return one.length - other.length || (one < other ? -1 : Number(one > other));
};
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  operationsSorter: shortestFirst,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
