import { ButtonLink } from "../components/Button";
import { Page } from "../components/Page";
import { Empty } from "../components/States";

export function NotFound() {
  return (
    <Page title="Not found">
      <Empty icon="search" title="There is nothing at this address">
        <p class="muted">It may have been deleted, or the link may be wrong.</p>
        <ButtonLink href="/">Go home</ButtonLink>
      </Empty>
    </Page>
  );
}
