/** A manifest to begin with. */
export interface Template {
  name: string;
  about: string;
  manifest: string;
}

const resources = `
[resources]
cpus = 1
memory = "512MiB"
disk = "4GiB"
`;

export const templates: Template[] = [
  {
    name: "Node.js and PostgreSQL",
    about: "A web application with its database",
    manifest: `schema = 1

[packages]
nodejs = "22"
postgresql = "15"
git = "*"

[services.postgresql]
databases = ["app"]

[ports]
web = 3000
${resources}`,
  },
  {
    name: "Go, PostgreSQL and Redis",
    about: "A service with a store and a cache",
    manifest: `schema = 1

[packages]
go = "*"
postgresql = "*"
redis = "*"
git = "*"

[services.postgresql]
databases = ["app"]

[services.redis]
${resources}`,
  },
  {
    name: "Python",
    about: "Scripts and notebooks",
    manifest: `schema = 1

[packages]
python3 = "*"
git = "*"
${resources}`,
  },
  {
    name: "Empty",
    about: "A shell and nothing else",
    manifest: `schema = 1

[packages]
git = "*"
${resources}`,
  },
];
