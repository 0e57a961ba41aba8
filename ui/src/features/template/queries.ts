import { gql } from "../../api/gql";
import type {
  DeleteTemplateMutation,
  DeleteTemplateMutationVariables,
  SaveTemplateMutation,
  SaveTemplateMutationVariables,
  TemplateListQuery,
} from "../../api/types";

export const TemplateListDoc = gql<TemplateListQuery>(/* GraphQL */ `
  query TemplateList { templates { name description saved from } }
`);

export const SaveTemplateDoc = gql<SaveTemplateMutation, SaveTemplateMutationVariables>(/* GraphQL */ `
  mutation SaveTemplate($input: SaveTemplateInput!) { saveTemplate(input: $input) { name } }
`);

export const DeleteTemplateDoc = gql<DeleteTemplateMutation, DeleteTemplateMutationVariables>(/* GraphQL */ `
  mutation DeleteTemplate($name: String!) { deleteTemplate(name: $name) { name } }
`);
