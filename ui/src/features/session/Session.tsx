export { NotFound as default } from "../../app/NotFound";
